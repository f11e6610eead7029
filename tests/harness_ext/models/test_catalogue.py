import importlib
import subprocess
import sys

import pytest

from harness_ext.errors import UserError
from harness_ext.models.catalogue import CATALOGUE_FILE, describe_names, load_catalogue, read_catalogue


def test_the_packaged_catalogue_is_sound_and_every_name_has_a_note():
    catalogue = read_catalogue(CATALOGUE_FILE)
    assert {"glyph-vlm", "llava-7b", "llava-13b", "qwen2-vl", "hf-vlm"} <= catalogue.keys()
    assert all(entry.note for entry in catalogue.values())


def test_a_users_file_adds_and_overrides(tmp_path, monkeypatch):
    file = tmp_path / "models.yaml"
    file.write_text("mine.v2: {weights: me/mine}\nllava-7b: {weights: /data/llava, revision: abc}\n")
    monkeypatch.setenv("UNSAFECONCEPTS_MODELS", str(file))
    catalogue = load_catalogue()
    assert catalogue["mine.v2"].weights == "me/mine"
    assert catalogue["llava-7b"].revision == "abc"
    assert "mine.v2" in describe_names()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: {weights: x}\n\nb: {wieghts: y}\n", r"line 3: model 'b': unknown key wieghts; allowed are note, revision"),
        ("a: {weights: x}\na: {weights: y}\n", r"line 2: model 'a': 'a' is there twice"),
        ("a: {}\nyes: {weights: x}\n", "line 2: model True: a name is text"),
        ("[a]: {weights: x}\n", "line 1: .*a name is text"),
        ("a: [x]\n", "line 1: model 'a': expected keys among"),
        ("a: {weights: 3}\n", "weights must be text"),
        ("a b: {weights: x}\n", "a name is text without spaces"),
        ("- a\n", "expected a mapping"),
        ("a: {", "cannot read"),
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
    with pytest.raises(UserError, match=r"cannot read.*models\.yaml"):
        read_catalogue(tmp_path / "models.yaml")


def test_an_unknown_option_is_refused_with_the_allowed_ones():
    names = importlib.import_module("harness_ext.models.names")
    with pytest.raises(UserError, match="unknown model_args: adapterr; allowed are adapter, attn_implementation"):
        getattr(names, "llava-7b")(adapterr="x")


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(UserError, match=r"nowhere\.yaml"):
        read_catalogue(tmp_path / "nowhere.yaml")


def test_reading_the_catalogue_imports_nothing_heavy():
    code = (
        "import sys, harness_ext.plugin;"
        "print(sorted({'torch', 'transformers', 'datasets', 'pydantic'} & set(sys.modules)))"
    )
    printed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert printed.strip() == "[]"


def test_every_name_becomes_a_model_class():
    names = importlib.import_module("harness_ext.models.names")
    model = getattr(names, "llava-7b")
    assert model.__name__ == "llava-7b"
    assert model.is_simple is False
    with pytest.raises(AttributeError):
        _ = names.nothing


def test_a_name_without_weights_asks_for_them():
    names = importlib.import_module("harness_ext.models.names")
    with pytest.raises(UserError, match="pretrained="):
        getattr(names, "hf-vlm")()
