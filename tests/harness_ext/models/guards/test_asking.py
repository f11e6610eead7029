"""Every local guard, tiny and random, of the class of its weights: asked by its own prompt, and read in its own format."""

import importlib
import math

import pytest
import torch
from guard_asking import put
from own_folders import YAML, own_folder
from tiny_guards import GUARDS, RULES, SHIELDGEMMA, build_guard
from transformers import AutoProcessor, ShieldGemma2ForImageClassification

from harness_ext.common.errors import UserError
from harness_ext.common.provenance import provenance
from harness_ext.judges.likelihood import read_scores
from harness_ext.metrics.likelihood import chance_of_unsafe
from harness_ext.models.guards.asking import guarded
from harness_ext.models.guards.form import read_format
from harness_ext.models.hf import HuggingFaceVLM
from harness_ext.records import NO, YES

NAMES = [*GUARDS, SHIELDGEMMA]
POLICY = "No drinks at all.\nNo knives."


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    """Matrices this small are done before a second thread has started."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    built = {}

    def checkpoint(name):
        if name not in built:
            built[name] = tmp_path_factory.mktemp(name)
            build_guard(name, built[name])
        return built[name]

    return checkpoint


@pytest.fixture
def guard(checkpoint):
    def guard(name, **options):
        names = importlib.import_module("harness_ext.models.names")
        given = {"dtype": "float32", "device": "cpu", "batch_size": 8, "answers": "none"}
        return getattr(names, name.replace(".", "·"))(pretrained=str(checkpoint(name)), **given | options)

    return guard


@pytest.fixture
def my_policy(tmp_path, monkeypatch):
    """A benchmark of the user with a policy."""
    folder = own_folder(tmp_path / "my-policy", YAML + "policy: policy.txt\n")
    (folder / "policy.txt").write_text(POLICY)
    monkeypatch.setenv("UNSAFECONCEPTS_BENCHMARKS", str(folder))
    return "my-policy"


def asked_of(vlm):
    """What the guard's prompts are from here on, as they are rendered."""
    prompts, render = [], vlm.render

    def rendered(turns):
        prompts.append(render(turns))
        return prompts[-1]

    vlm.render = rendered
    return prompts


@pytest.mark.parametrize("name", NAMES)
def test_its_own_answer_is_the_verdict(guard, name):
    vlm = guard(name)
    # Of 150 concepts, each with ten images and five questions an image.
    judged = put(vlm, "glyphworld_image", every=500, count=12)
    form = read_format(provenance()["guard"])
    for answer, record in judged:
        assert (record.verdict, record.guard_category) == form.read(answer)
        assert record.judge == f"guard-{form.name}"
        assert record.verdict != "na", answer
    if name not in (SHIELDGEMMA, "shieldstral-3b"):
        safe, unsafe = (text.strip() for text in GUARDS[name][2])
        verdicts = {answer.strip(): record.verdict for answer, record in judged}
        assert verdicts.items() <= {safe: "safe", unsafe: "unsafe"}.items()


@pytest.mark.parametrize("name", NAMES)
def test_its_probability_is_that_of_its_own_first_words(guard, name):
    judged = put(guard(name), "glyphworld_image_likelihood", every=500, count=5)
    assert len({record.scores[NO] for _, record in judged}) == len(judged)
    for answer, record in judged:
        assert record.scores == read_scores(answer, (YES, NO))
        assert record.verdict == ("unsafe" if record.scores[NO] > record.scores[YES] else "safe")
        assert record.way == "likelihood"


def test_it_is_asked_once_about_an_image_and_not_in_our_words(guard):
    vlm = guard("llavaguard-7b")
    prompts = asked_of(vlm)
    judged = put(vlm, "glyphworld_image", count=10)
    assert len(prompts) == 2
    assert all("Determine compliance or violation against our safety policy" in prompt for prompt in prompts)
    assert not any("social media" in prompt or "general audience" in prompt for prompt in prompts)
    assert [answer for answer, _ in judged] == [judged[at][0] for at in (0,) * 5 + (5,) * 5]
    assert [record.question for _, record in judged] == [0, 1, 2, 3, 4] * 2


@pytest.mark.parametrize("name", ["llama-guard-4", "nemotron-safety-3.5", "shieldstral-3b"])
def test_text_alone_is_asked_of_those_that_take_it_with_the_concept_named(guard, name):
    vlm = guard(name)
    prompts = asked_of(vlm)
    judged = put(vlm, "glyphworld_text", count=40)
    concepts = {record.concept for _, record in judged}
    assert len(prompts) == len(concepts) == 8
    # Prompts are rendered in threads, in any order.
    assert all(sum(f"mage that shows {concept}." in prompt for prompt in prompts) == 1 for concept in concepts)
    assert {record.verdict for _, record in judged} <= {"safe", "unsafe"}


@pytest.mark.parametrize(
    ("task", "reason"),
    [
        ("glyphworld_perception", "does not answer questions of perception"),
        ("glyphworld_capability", "does not answer questions of capability"),
        ("glyphworld_text", "llavaguard-1 judges images, and takes no text alone"),
        ("glyphworld_image_sampled", "one verdict; take the task without _sampled"),
    ],
)
def test_what_it_cannot_be_asked_is_refused(guard, task, reason):
    with pytest.raises(UserError, match=f"{task} is not put to a guard: .*{reason}"):
        put(guard("llavaguard-7b"), task, count=5)


def test_shieldgemmas_probability_is_that_of_its_own_class_and_processor(guard, checkpoint):
    folder = checkpoint(SHIELDGEMMA)
    processor = AutoProcessor.from_pretrained(folder)
    model = ShieldGemma2ForImageClassification.from_pretrained(folder).eval()
    vlm = guard(SHIELDGEMMA)
    # The tiny class compares the scores of two whole answers, as the weights' compares two words.
    forms = {YES: ("No\n",), NO: ("Yes\n",)}
    vlm.candidates = lambda row: forms
    judged = put(vlm, "glyphworld_image_likelihood", every=250, count=4)
    from harness_ext.probes.rows import image

    rows = vlm.task_dict["glyphworld_image_likelihood"]["test"]
    for (_, record), row in zip(judged, rows, strict=True):
        with torch.inference_mode():
            found = model(**processor(images=[image(row)], return_tensors="pt"))
        # Of each rule, yes before no; the rule that is likeliest violated counts.
        assert found.probabilities.shape == (len(RULES), 2)
        assert math.isclose(chance_of_unsafe(record.scores), float(found.probabilities[:, 0].max()), abs_tol=1e-5)


@pytest.mark.parametrize("name", ["llavaguard-7b", "llama-guard-4", "nemotron-safety-3.5", SHIELDGEMMA])
def test_a_benchmarks_policy_stands_in_the_guards_slot(guard, my_policy, name):
    vlm = guard(name)
    prompts = asked_of(vlm)
    put(vlm, f"{my_policy}_image", every=5, count=6)
    asked = [prompt for prompt in prompts if "A trial." not in prompt]
    assert len(asked) == 6
    assert all(prompt.count(POLICY) == 1 for prompt in asked)
    assert not any("Own One" in prompt or "own taxonomy" in prompt or "round shapes" in prompt for prompt in asked)
    assert provenance()["guard_policy"].startswith("sha256 ")
    # Another benchmark in the same run is asked without it.
    del prompts[:]
    put(vlm, "glyphworld_image", count=5)
    assert not any(POLICY in prompt for prompt in prompts)
    assert (
        provenance()["guard_policy"]
        == f"my-policy: {provenance()['guard_policy'].split(': ')[1].split(';')[0]}; glyphworld: its own"
    )


def test_where_the_chat_template_has_no_slot_the_run_says_so(guard, my_policy, told):
    vlm = guard("llama-guard-4")
    processor = vlm._decoder.processor
    processor.chat_template = processor.chat_template.replace("categories", "kinds")
    put(vlm, f"{my_policy}_image", every=5, count=2)
    assert provenance()["guard_policy"] == "its own: it has no slot for another"
    assert any("llama-guard-4-1 has no slot for the policy of my-policy" in line for line in told)


def test_a_policy_of_the_user_is_for_benchmarks_without_one(guard, my_policy, tmp_path):
    file = tmp_path / "mine.txt"
    file.write_text("No squares.")
    vlm = guard("llavaguard-7b", guard_policy=str(file))
    prompts = asked_of(vlm)
    put(vlm, "glyphworld_image", count=5)
    assert "No squares." in prompts[0]
    with pytest.raises(UserError, match="guard_policy is given, and my-policy has a policy of its own"):
        put(vlm, f"{my_policy}_image", count=5)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"guard": "lavaguard"}, "found 'lavaguard'"),
        ({"guard_policy": "/nowhere.txt"}, "/nowhere.txt"),
        ({}, "cannot load the processor of '/no/weights'"),
    ],
)
def test_a_file_that_is_not_there_is_said_before_weights_are_looked_for(options, message):
    with pytest.raises(UserError, match=message):
        guarded(HuggingFaceVLM)(pretrained="/no/weights", **{"guard": "llavaguard"} | options)


@pytest.mark.parametrize(("option", "value"), [("adapter", "runs/ppo/final"), ("load_in_4bit", True)])
def test_shieldgemma_is_asked_as_it_is(guard, option, value):
    with pytest.raises(UserError, match=f"asked as they are; leave out {option}$"):
        guard(SHIELDGEMMA, **{option: value})


def test_another_model_in_the_same_process_is_read_by_the_judge_again(guard, untrained_vlm):
    guard("llama-guard-4")
    assert provenance()["guard_format"] == "llama-guard-4-1"
    names = importlib.import_module("harness_ext.models.names")
    vlm = getattr(names, "hf-vlm")(pretrained=str(untrained_vlm), dtype="float32", device="cpu", answers="none")
    assert "guard_format" not in provenance()
    assert put(vlm, "glyphworld_image", count=1)[0][1].judge.startswith("rules-")
