"""Every open family of VLMs, tiny and random, through the backend: alone, in batches, and by the harness."""

import json

import lmms_eval.models  # noqa: F401 - loading it loads the entry points, ours among them
import pytest
import torch
import yaml
from asking import ask, picture
from lmms_eval.evaluator import simple_evaluate
from lmms_eval.tasks import TaskManager
from tiny_vlms import FAMILIES, IMAGE_ONLY, PROMPTS

from harness_ext.benchmark.questions import IMAGE_QUESTIONS
from harness_ext.common.failures import is_failed
from harness_ext.hooks import register_tasks
from harness_ext.models.hf import HuggingFaceVLM

ROWS = 4
# Square and oblong (width, height): families with tiles cut each into another number of them.
SHAPES = [None, (120, 40), (40, 120), (64, 64)]

# Whose image is read with the question in mind.
NOT_SHARED = {"blip-2", "blip-2-t5", "instructblip", "instructblip-t5", "paligemma"}

every_family = pytest.mark.parametrize("family", FAMILIES)


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    """Matrices this small are done before a second thread has started."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    """What gives the folder of a family's checkpoint, built once."""
    built = {}

    def checkpoint(family):
        if family not in built:
            built[family] = tmp_path_factory.mktemp(family)
            FAMILIES[family](built[family])
        return built[family]

    return checkpoint


@pytest.fixture(scope="module")
def task_manager():
    register_tasks()
    return TaskManager("ERROR", model_name="hf-vlm")


@pytest.fixture
def vlm(checkpoint):
    """What loads a family's model."""

    def vlm(family, batch_size, **options):
        options |= {"dtype": "float32", "device": "cpu", "prompt": PROMPTS.get(family)}
        return HuggingFaceVLM(str(checkpoint(family)), batch_size=batch_size, **({"share_prefix": True} | options))

    return vlm


def mixed(family):
    """Questions of different lengths about images of different shapes and, where the family can, without an image."""
    shown = [
        (picture(11 * at, SHAPES[at % len(SHAPES)]), IMAGE_QUESTIONS[at % len(IMAGE_QUESTIONS)] + " ?" * at)
        for at in range(8)
    ]
    return shown if family in IMAGE_ONLY else shown + [(None, question) for question in IMAGE_QUESTIONS]


@every_family
def test_answers_do_not_depend_on_the_batch(vlm, family):
    one, many = (ask(vlm(family, size, share_prefix=False), mixed(family)) for size in (1, 16))
    assert not any(map(is_failed, one)), one
    assert one == many
    assert all(one)


@every_family
def test_questions_about_one_image_are_answered_the_same_from_one_encoding_of_it(vlm, family):
    prompts = [
        (picture(7 * image, SHAPES[image]), question + " ?" * image)
        for image in range(3)
        for question in IMAGE_QUESTIONS[:4]
    ]
    alone = ask(vlm(family, 1, share_prefix=False), prompts)
    for batch_size in (1, 8):
        shared = vlm(family, batch_size)
        assert ask(shared, prompts) == alone
        # What is special to a family must not quietly turn sharing off.
        assert shared._asker.shares == (family not in NOT_SHARED)


@every_family
def test_answers_depend_on_the_image_and_on_the_question(vlm, family):
    model = vlm(family, 8)
    images = [(picture(13 * at), IMAGE_QUESTIONS[0]) for at in range(6)]
    questions = [(picture(0), question) for question in IMAGE_QUESTIONS]
    for prompts in (images, questions):
        answers = ask(model, prompts)
        assert len(set(answers)) >= len(answers) - 1, answers


def model_args(family, folder):
    """The text after ``--model_args``."""
    arguments = [f"pretrained={folder}", "dtype=float32", "device=cpu"]
    if family in PROMPTS:
        arguments.append(f"prompt={PROMPTS[family]}")
    return ",".join(arguments)


def tasks(family):
    return ["glyphworld_image", "glyphworld_text_blank" if family in IMAGE_ONLY else "glyphworld_text"]


def assert_answered(rows):
    assert len(rows) == ROWS
    for row in rows:
        assert row["filtered_resps"][0] and row["judgement"]["verdict"] != "failed", row


@every_family
def test_the_harness_evaluates_it(checkpoint, task_manager, family):
    results = simple_evaluate(
        model="hf-vlm",
        model_args=model_args(family, checkpoint(family)),
        tasks=tasks(family),
        limit=ROWS,
        batch_size=ROWS,
        gen_kwargs="max_new_tokens=4",
        task_manager=task_manager,
    )
    for task in tasks(family):
        assert_answered(results["samples"][task])


def test_the_command_evaluates_several_in_one_process(checkpoint, run_warm, tmp_path):
    """All of them this way would be the same at twice the time: lmms-eval reads all its tasks anew for each run."""
    families = ["qwen3_vl", "blip-2"]
    runs = [
        {
            "model": "hf-vlm",
            "model_args": model_args(family, checkpoint(family)),
            "tasks": ",".join(tasks(family)),
            "limit": ROWS,
            "batch_size": ROWS,
            "gen_kwargs": "max_new_tokens=4",
            "log_samples": True,
            "output_path": str(tmp_path / family),
        }
        for family in families
    ]
    config = tmp_path / "families.yaml"
    config.write_text(yaml.safe_dump(runs))
    finished = run_warm("lmms_eval", "--config", config)
    assert finished.returncode == 0, finished.stderr
    for family in families:
        for task in tasks(family):
            (file,) = (tmp_path / family).rglob(f"*_samples_{task}.jsonl")
            assert_answered([json.loads(line) for line in file.read_text().splitlines()])
