"""What the adapters share: what is refused, what an answer rests on, and the way from the command to the sample rows."""

import json
import shutil

import pytest
import remote_repos
from asking import GREEDY, ask, picture
from remote_repos.prompts import SAMPLED
from spoilt import put_nan

from harness_ext.common.errors import UserError
from harness_ext.common.failures import is_failed, reason_of
from harness_ext.models.remote.families import CogVLM, MiniCPMV, XComposer2

PROMPTS = [(picture(0), "Is this image safe?"), (None, "Is it safe?")]
COMMIT = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("asked")
    remote_repos.cogvlm(folder)
    return folder


@pytest.fixture(scope="module")
def vlm(folder):
    return CogVLM(str(folder), device="cpu", trust_remote_code=True)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"num_beams": 3}, "no beam search"),
        ({"likelihood": True}, "gives answers, not the scores"),
    ],
)
def test_settings_that_it_cannot_honour_are_refused(vlm, settings, message):
    with pytest.raises(UserError, match=message):
        ask(vlm, [_with_candidates(*prompt) for prompt in PROMPTS], GREEDY | settings)


def _with_candidates(image, text):
    class Row(dict):
        """A row of a task that is scored, which also unpacks as a prompt."""

        def __iter__(self):
            return iter((image, text))

        def __getitem__(self, key):
            return (image, text)[key] if isinstance(key, int) else super().__getitem__(key)

    return Row(candidates={"yes": ["Yes"], "no": ["No"]})


@pytest.mark.parametrize(
    ("kind", "build"),
    [(CogVLM, remote_repos.cogvlm), (XComposer2, remote_repos.xcomposer2), (MiniCPMV, remote_repos.minicpmv)],
    ids=["cogvlm", "xcomposer2", "minicpmv"],
)
def test_answers_whose_scores_are_not_finite_fail_alone(kind, build, tmp_path):
    build(tmp_path)
    prompts = [*PROMPTS, (picture(0), "Is # safe?"), (None, "# safe?")]

    def answers(settings):
        return ask(kind(str(tmp_path), device="cpu", trust_remote_code=True, max_failed=1.0), prompts, settings)

    healthy = answers(GREEDY)
    put_nan(tmp_path, "#")
    found = answers(GREEDY)
    assert found[:2] == healthy[:2]
    assert not any(map(is_failed, healthy))
    for answer in [*found[2:], *answers(SAMPLED)[2:]]:
        assert is_failed(answer) and "no distribution (NaN or infinite)" in reason_of(answer)


def test_a_batch_is_refused_rather_than_ignored(folder):
    with pytest.raises(UserError, match="one question at a time: leave batch_size at 1"):
        CogVLM(str(folder), batch_size=8, device="cpu", trust_remote_code=True)


def test_other_turns_are_refused(vlm):
    turns = [{"role": "system", "content": [{"type": "text", "text": "Be brief."}]}]
    with pytest.raises(UserError, match="found turns of system"):
        vlm.render(turns)


def test_answers_are_kept_until_weights_or_code_change(folder, tmp_path):
    copy, kept = tmp_path / "model", str(tmp_path / "answers")
    shutil.copytree(folder, copy)

    def fresh():
        return CogVLM(str(copy), device="cpu", trust_remote_code=True, answers=kept)

    first = fresh()
    answers = ask(first, PROMPTS)
    again = fresh()
    again._model = None  # whoever asks it, fails
    assert ask(again, PROMPTS) == answers
    code = copy / "modeling_cogvlm.py"
    code.write_text(code.read_text().replace("Question: {query}", "Query: {query}"))
    changed = fresh()
    assert changed.identity() != first.identity()
    assert ask(changed, PROMPTS)[0] != answers[0]


def test_several_models_of_one_repository_in_one_process(folder, vlm):
    # Transformers remembers a repository's classes by their configuration's class.
    again = CogVLM(str(folder), device="cpu", trust_remote_code=True)
    assert ask(again, PROMPTS) == ask(vlm, PROMPTS)


def test_a_name_of_the_catalogue_from_the_hubs_cache(run, tmp_path):
    repository = tmp_path / "hub/models--tiny--xcomposer2"
    snapshot = repository / "snapshots" / COMMIT
    remote_repos.xcomposer2(snapshot)
    (repository / "refs").mkdir()
    (repository / "refs/main").write_text(COMMIT)
    catalogue = tmp_path / "models.yaml"
    entry = {"backend": "xcomposer2", "weights": "tiny/xcomposer2", "needs": {"remote_code": True}}
    catalogue.write_text(json.dumps({"tiny-xcomposer2": entry}))
    finished = run(
        "lmms_eval", "--model", "tiny-xcomposer2", "--model_args", "trust_remote_code=True,device=cpu",
        "--tasks", "glyphworld_image,glyphworld_text", "--limit", "3", "--gen_kwargs", "max_new_tokens=8",
        "--log_samples", "--output_path", tmp_path / "out",
        UNSAFECONCEPTS_MODELS=str(catalogue), HF_HUB_CACHE=str(tmp_path / "hub"), HF_MODULES_CACHE=str(tmp_path / "code"),
    )  # fmt: skip
    assert finished.returncode == 0, finished.stdout + finished.stderr
    config = json.loads(next((tmp_path / "out").rglob("*_results.json")).read_text())["config"]
    assert (config["weights"], config["revision"], config["trust_remote_code"]) == ("tiny/xcomposer2", COMMIT, "True")
    files = sorted((tmp_path / "out").rglob("*_samples_*.jsonl"))
    rows = [json.loads(line) for file in files for line in file.read_text().splitlines()]
    assert len(rows) == 6
    assert all(row["judgement"]["verdict"] != "failed" for row in rows)
    assert len({str(row["filtered_resps"]) for row in rows}) == 6
