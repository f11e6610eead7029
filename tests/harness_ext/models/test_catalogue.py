import re
import subprocess
import sys
from pathlib import Path

import pytest
from transformers.models.auto.modeling_auto import MODEL_FOR_MULTIMODAL_LM_MAPPING_NAMES

from harness_ext.common.errors import UserError
from harness_ext.models.catalogue import (
    CATALOGUE_FILE,
    OPTION_FILE_VARIABLE,
    describe_names,
    load_catalogue,
    load_names,
    read_catalogue,
)
from harness_ext.models.entries import Api, Entry, Needs
from harness_ext.models.guards.form import FORMATS
from harness_ext.plugin import register


@pytest.fixture(autouse=True)
def no_files_of_the_user(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "configuration"))
    monkeypatch.delenv("UNSAFECONCEPTS_MODELS", raising=False)
    monkeypatch.delenv(OPTION_FILE_VARIABLE, raising=False)


def test_the_packaged_catalogue_has_the_papers_eight_and_todays_families():
    catalogue = read_catalogue(CATALOGUE_FILE)
    paper = {name: entry for name, entry in catalogue.items() if entry.paper}
    assert {name: entry.weights for name, entry in paper.items()} == {
        "llava-7b": "llava-hf/llava-1.5-7b-hf",
        "llava-13b": "llava-hf/llava-1.5-13b-hf",
        "instructblip-7b": "Salesforce/instructblip-vicuna-7b",
        "instructblip-13b": "Salesforce/instructblip-vicuna-13b",
        "cogvlm": "THUDM/cogvlm-chat-hf",
        "internlm-xcomposer2": "internlm/internlm-xcomposer2-vl-7b",
        "qwen2-vl": "Qwen/Qwen2-VL-7B-Instruct",
        "gpt-4v": "",
    }
    families = (
        "llava-next",
        "llava-onevision",
        "qwen2.5-vl",
        "qwen3-vl",
        "internvl3",
        "idefics3",
        "smolvlm",
        "gemma-3",
    )
    for family in (*families, "llama-3.2", "minicpm-v", "glm-4", "pixtral", "phi-4"):
        assert any(name.startswith(family) for name in catalogue), family


def test_every_packaged_entry_says_what_it_is_and_what_it_needs():
    for name, entry in read_catalogue(CATALOGUE_FILE).items():
        assert entry.note, name
        # lmms-eval's own listing cuts longer names.
        assert len(name) < 28, name
        # Phi-4's weights as transformers reads them are an open change of the repository.
        assert entry.revision is None or re.fullmatch(r"[0-9a-f]{40}|refs/pr/\d+", entry.revision), name
        if entry.weights and not entry.weights.startswith("glyphworld:"):
            assert entry.needs.memory_gib, name
            assert re.fullmatch(r"[\w.-]+/[\w.-]+", entry.weights), name


def test_every_packaged_vlm_of_transformers_names_a_family_that_transformers_has():
    for name, entry in read_catalogue(CATALOGUE_FILE).items():
        if entry.backend == "huggingface" and entry.weights:
            assert entry.family in MODEL_FOR_MULTIMODAL_LM_MAPPING_NAMES, name
        else:
            assert not entry.family, name


def test_a_later_file_wins(tmp_path, monkeypatch):
    configured, by_variable, by_option = (tmp_path / name for name in ("configuration/unsafeconcepts", "b", "c"))
    configured.mkdir(parents=True)
    (configured / "models.yaml").write_text("one: {weights: a/one}\ntwo: {weights: a/two}\nllava-7b: {weights: a/l}\n")
    by_variable.write_text("two: {weights: b/two}\nthree: {weights: b/three}\n")
    by_option.write_text("three: {weights: c/three}\nmine.v2: {weights: c/mine}\n")
    monkeypatch.setenv("UNSAFECONCEPTS_MODELS", str(by_variable))
    monkeypatch.setenv(OPTION_FILE_VARIABLE, str(by_option))
    found = {name: entry.weights for name, entry in load_catalogue().items()}
    expected = {"one": "a/one", "two": "b/two", "three": "c/three", "mine.v2": "c/mine", "llava-7b": "a/l"}
    assert found | expected == found
    assert found["llava-13b"] == "llava-hf/llava-1.5-13b-hf"


def test_names_are_listed_in_groups(tmp_path, monkeypatch):
    file = tmp_path / "mine.yaml"
    file.write_text("mine: {weights: me/mine, needs: {memory_gib: 3.25, access: gated}}\n")
    monkeypatch.setenv("UNSAFECONCEPTS_MODELS", str(file))
    lines = describe_names().splitlines()
    titles = ["  To begin with", "  The paper's eight", "  Open families", "  Guards", f"  Yours ({file})"]
    assert [line for line in lines if line in titles] == titles
    assert next(line for line in lines if line.split()[0] == "mine").split(maxsplit=2)[1:] == ["3.2", "me/mine; gated"]
    assert max(len(line) for line in lines if line.startswith("    ")) <= 130


def test_everything_an_entry_may_say_is_read(tmp_path):
    file = tmp_path / "models.yaml"
    file.write_text("""
usual: &usual
  weights: me/mine
  family: llava
  revision: abc
  prompt: instructblip
  template_options: {enable_thinking: false}
  generation: {max_new_tokens: 64, temperature: 0.5, do_sample: true, until: ["\\n"]}
  needs: {memory_gib: 3, packages: [einops], remote_code: true, access: gated, licence: research only}
other:
  <<: *usual
  revision: def
served:
  backend: api
  api: {model: m, base_url: "http://localhost:8000/v1", api_key_variable: KEY}
""")
    found = read_catalogue(file, "mine")
    assert found["usual"] == Entry(
        weights="me/mine",
        family="llava",
        revision="abc",
        prompt="instructblip",
        template_options={"enable_thinking": False},
        generation={"max_new_tokens": 64, "temperature": 0.5, "do_sample": True, "until": ["\n"]},
        needs=Needs(3, ["einops"], True, "gated", "research only"),
        source="mine",
    )
    assert (found["other"].weights, found["other"].revision) == ("me/mine", "def")
    assert found["served"].api == Api("m", "http://localhost:8000/v1", "KEY")


def test_a_guards_file_and_a_folder_of_weights_are_found_from_their_entrys_file_on(tmp_path, monkeypatch):
    (folder := tmp_path / "configuration").mkdir()
    (folder / "me" / "mine").mkdir(parents=True)
    (folder / "my-guard.yaml").write_text((FORMATS / "safeguard-vl.yaml").read_text())
    file = folder / "models.yaml"
    file.write_text("mine: {weights: me/mine, guard: my-guard.yaml}\nother: {weights: me/other, guard: llavaguard}\n")
    # A harness is started from another folder, with the catalogue named in full.
    monkeypatch.chdir(tmp_path)
    for path in (file, Path("configuration/models.yaml")):
        found = read_catalogue(path)
        assert (found["mine"].guard, found["other"].guard) == (str(folder / "my-guard.yaml"), "llavaguard")
        assert (found["mine"].weights, found["other"].weights) == (str(folder / "me" / "mine"), "me/other")
    monkeypatch.chdir(folder)
    (tmp_path / "models.yaml").write_text(file.read_text())
    with pytest.raises(
        UserError, match=f"line 1: .*guard is not usable: .*a YAML file in {tmp_path}, or one of llama-g"
    ):
        read_catalogue(tmp_path / "models.yaml")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "a: {weights: x}\n\nb: {wieghts: y}\n",
            r"line 3: model 'b': unknown key wieghts; allowed are api, backend, fam",
        ),
        ("a: {weights: x}\na: {weights: y}\n", r"line 2: model 'a': 'a' is there twice"),
        ("a:\n  weights: x\n  weights: y\n", r"line 3: model 'a': 'weights' is there twice"),
        ("a: {}\nyes: {weights: x}\n", "line 2: model True: a name is text"),
        ("[a]: {weights: x}\n", "line 1: .*a name is text"),
        ("a: [x]\n", "line 1: model 'a': expected keys and values, found list; allowed are"),
        ("a:\n  note: n\n  weights: 3\n", "line 3: .*weights must be text .*, found 3"),
        ("a b: {weights: x}\n", "a name is text without spaces"),
        ("- a\n", "expected a mapping"),
        ("a: {", r"line 2: is not YAML"),
        ("a: {weights: !mine x}\n", r"line 1: is not YAML: could not determine a constructor"),
        ("a:\n  backend: sglang\n", "line 2: .*backend must be one of huggingface, vllm, api"),
        (
            "a:\n  needs:\n    memory: 3\n",
            "line 3: model 'a': needs: unknown key memory; allowed are access, licence, mem",
        ),
        ("a:\n  needs:\n    packages: einops\n", "line 3: .*needs: packages must be a list of texts, found 'einops'"),
        ("a:\n  needs: 3\n", "line 2: .*needs: expected keys and values, found int"),
        ("a:\n  api: {url: x}\n", "line 2: .*api: unknown key url; allowed are api_key_variable, base_url, model"),
        ("a:\n  generation:\n    top_p: 2\n", "line 3: .*generation: top_p must be a number from 0 to 1, found 2"),
        ("a:\n  generation: {max_new_tokens: 1.5}\n", "max_new_tokens must be a whole number from 1 on"),
        ("a:\n  generation: {temperature: .inf}\n", "temperature must be a number from 0 on, found inf"),
        ("a:\n  generation: {until: ['']}\n", "line 2: .*until is not usable: .*empty text"),
        ("a:\n  generation: {until: 3}\n", "until must be text or a list of texts, found 3"),
        ("a:\n  generation: {likelihood: true}\n", "unknown key likelihood; allowed are do_sample"),
        ("a:\n  generation: {best_of: 3}\n", "unknown key best_of; allowed are do_sample, max_new_tokens"),
        (
            "a:\n  prompt: vicuna\n",
            "line 2: .*prompt is not usable: .*one of blip-2, .*, phi-4-multimodal; found 'vicuna'",
        ),
        ("a:\n  template_options: [x]\n", "template_options must be a mapping"),
        ("a:\n  paper: 1\n", "paper must be true or false"),
        ("a:\n  source: x\n", "unknown key source"),
        ("a:\n  revision: null\n", "line 2: .*revision must be text without spaces .*, found None"),
        ("a:\n  needs: {memory_gib: true}\n", "needs: memory_gib must be a number from 0 on, found True"),
    ],
)
def test_a_wrong_file_is_refused_with_its_line(tmp_path, text, message):
    file = tmp_path / "models.yaml"
    file.write_text(text)
    with pytest.raises(UserError, match=message) as error:
        read_catalogue(file)
    assert str(file) in str(error.value)


def test_a_file_of_another_encoding_is_named(tmp_path):
    (tmp_path / "models.yaml").write_bytes("ä: {weights: x}".encode("latin-1"))
    with pytest.raises(UserError, match=r"models\.yaml, line 1: is not UTF-8"):
        read_catalogue(tmp_path / "models.yaml")


def test_a_missing_file_is_named(tmp_path, monkeypatch):
    monkeypatch.setenv("UNSAFECONCEPTS_MODELS", str(tmp_path / "nowhere.yaml"))
    with pytest.raises(UserError, match=r"nowhere\.yaml"):
        load_catalogue()


def test_reading_the_catalogue_imports_nothing_heavy():
    code = (
        "import sys, harness_ext.plugin; harness_ext.plugin.load_names();"
        "heavy = {'torch', 'transformers', 'datasets', 'jinja2'};"
        "print(sorted((heavy | {'pydantic'}) & set(sys.modules)));"
        "import harness_ext.cli; print(sorted(heavy & set(sys.modules)))"
    )
    printed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    # Our command reads the table of probes, which pydantic checks; the plugin runs at every start of lmms-eval.
    assert printed.split() == ["[]", "[]"]


def test_the_names_are_read_without_a_look_at_their_entries(tmp_path, monkeypatch):
    packaged = load_names()
    assert packaged == list(load_catalogue())
    file = tmp_path / "models.yaml"
    file.write_text("mine: {wieghts: me/mine}\nllava-7b: {weights: me/other}\n")
    monkeypatch.setenv("UNSAFECONCEPTS_MODELS", str(file))
    assert load_names() == [*packaged, "mine"]
    with pytest.raises(UserError, match="line 1: model 'mine': unknown key wieghts"):
        load_catalogue()


def test_a_file_that_changes_is_read_again(tmp_path, monkeypatch):
    file = tmp_path / "models.yaml"
    monkeypatch.setenv("UNSAFECONCEPTS_MODELS", str(file))
    for weights in ("a/b", "a/c"):
        file.write_text(f"mine: {{weights: {weights}}}\n")
        load_catalogue().pop("llava-7b")
        assert load_catalogue()["mine"].weights == weights and "llava-7b" in load_catalogue()


@pytest.mark.parametrize(
    "value",
    [
        "!!int abc",
        "!!bool abc",
        "2026-13-45",
        "!!python/object/apply:os.system [true]",
        "&a [*a]",
        "9" * 5000,
        "[" * 10**5,
    ],
)
def test_a_wrong_value_takes_no_other_name_away(tmp_path, monkeypatch, capsys, value):
    """lmms-eval asks for all names at every start."""
    file = tmp_path / "models.yaml"
    file.write_text(f"mine:\n  weights: x\n{value}:\n  weights: y\n")
    monkeypatch.setenv("UNSAFECONCEPTS_MODELS", str(file))
    names = {each.model_id for each in register()}
    assert {"llava-7b", "glyph-vlm"} <= names and "mine" not in names
    # Once more where lmms-eval itself is imported only now.
    (line,) = {said for said in capsys.readouterr().err.splitlines() if said.startswith("unsafeconcepts: ")}
    assert f"{file}, line 3: " in line and line.endswith("; only the packaged model names are known")
