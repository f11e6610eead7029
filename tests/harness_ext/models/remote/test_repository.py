"""Nothing of a repository runs without the user's word, and what goes wrong in its code is told as that."""

import json

import pytest
import remote_repos
from asking import ask, picture

from harness_ext.common.errors import UserError
from harness_ext.models.remote.families import CogVLM, MiniCPMV, XComposer2
from harness_ext.models.remote.loading import open_repository

KINDS = [
    pytest.param(CogVLM, remote_repos.cogvlm, id="cogvlm"),
    pytest.param(XComposer2, remote_repos.xcomposer2, id="xcomposer2"),
    pytest.param(MiniCPMV, remote_repos.minicpmv, id="minicpmv"),
]


@pytest.mark.parametrize(("kind", "build"), KINDS)
def test_no_code_runs_without_the_word_and_all_of_it_with(kind, build, tmp_path):
    folder, witness = tmp_path / "repository", tmp_path / "ran"
    build(folder)
    remote_repos.betray(folder, witness)
    for word in ({}, {"trust_remote_code": False}, {"trust_remote_code": "maybe"}):
        with pytest.raises(UserError, match=r"repository.*would run on this machine.*\n.*trust_remote_code=True"):
            kind(str(folder), device="cpu", **word)
        assert not witness.exists()
    kind(str(folder), device="cpu", trust_remote_code=True)
    assert set(witness.read_text().split()) == {file.stem for file in folder.glob("*.py")}


def test_of_a_hub_repository_the_message_asks_for_the_commit_that_was_read():
    with pytest.raises(UserError, match=r"and revision=COMMIT, the one that you read"):
        open_repository("someone/model", None, False)
    with pytest.raises(UserError, match=r"'someone/model' at 0123abc is Python code(?s:(?!COMMIT).)*$"):
        open_repository("someone/model", "0123abc", False)


def test_the_word_is_not_for_the_code_of_a_tokenizer_elsewhere(tmp_path):
    remote_repos.cogvlm(tmp_path / "model")
    remote_repos.xcomposer2(tmp_path / "other")
    remote_repos.betray(tmp_path / "other", tmp_path / "ran")
    with pytest.raises(UserError, match=r"cannot load the tokenizer of '.*other'"):
        CogVLM(str(tmp_path / "model"), tokenizer=str(tmp_path / "other"), trust_remote_code=True)
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    ("file", "elsewhere"),
    [
        ("config.json", {"AutoConfig": "someone/else--module.Class"}),
        ("tokenizer_config.json", {"AutoTokenizer": ["someone/else--module.Class", None]}),
    ],
)
def test_the_word_is_not_for_the_code_of_another_repository(tmp_path, file, elsewhere):
    remote_repos.xcomposer2(tmp_path)
    described = json.loads((tmp_path / file).read_text())
    (tmp_path / file).write_text(json.dumps(described | {"auto_map": elsewhere}))
    with pytest.raises(UserError, match=rf"{file} of .* code of another repository, 'someone/else'"):
        open_repository(str(tmp_path), None, True)


def test_a_package_that_its_code_needs_is_named(tmp_path):
    remote_repos.cogvlm(tmp_path)
    code = tmp_path / "modeling_cogvlm.py"
    code.write_text("import no_such_package\n" + code.read_text())
    with pytest.raises(
        UserError, match=r"the code of .* does not work here: ImportError: .*pip install no_such_package"
    ):
        CogVLM(str(tmp_path), trust_remote_code=True)


def test_what_its_code_misses_in_transformers_is_told_with_both_versions(tmp_path):
    remote_repos.cogvlm(tmp_path)
    code = tmp_path / "modeling_cogvlm.py"
    code.write_text(code.read_text().replace("self._extract_past_from_model_output(", "self._gone_since_then("))
    model = CogVLM(str(tmp_path), device="cpu", trust_remote_code=True)
    with pytest.raises(UserError, match=r"AttributeError: .*_gone_since_then(?s:.*)transformers 4\.36\.0, this is 5\."):
        ask(model, [(picture(0), "Is this image safe?")])
