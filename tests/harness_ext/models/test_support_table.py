"""The table of support says of every name and every family what is so."""

import json
import re

import pytest
import torch
from asking import ask, picture
from tiny_vlms import FAMILIES, PROMPTS
from transformers.cache_utils import DummyLayer, DynamicLayer, DynamicSlidingWindowLayer
from transformers.models.auto.modeling_auto import MODEL_FOR_MULTIMODAL_LM_MAPPING_NAMES

from harness_ext.benchmark.questions import IMAGE_QUESTIONS
from harness_ext.models.catalogue import CATALOGUE_FILE, read_catalogue
from harness_ext.models.hf import HuggingFaceVLM
from harness_ext.models.sharing import SharedPrefixes

CATALOGUE = read_catalogue(CATALOGUE_FILE)


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    """Matrices this small are done before a second thread has started."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def quoted(cell):
    return re.findall(r"`([^`]+)`", cell)


def table(header):
    """The cells of each row of the README's table whose first columns are ``header``."""
    text = CATALOGUE_FILE.with_name("README.md").read_text()
    _, body = text.split(f"| {' | '.join(header)} |", 1)
    lines = body.split("\n\n", 1)[0].splitlines()[2:]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


ROWS = table(["names", "class of transformers (`model_type`)", "tried as", "shared"])


def row_of(family):
    (row,) = [row for row in ROWS if family in quoted(row[2])]
    return row


def test_every_name_stands_in_the_row_of_its_family():
    named = {name: quoted(row[1]) for row in ROWS for name in quoted(row[0])}
    assert sum(len(quoted(row[0])) for row in ROWS) == len(named)
    packaged = {name: entry for name, entry in CATALOGUE.items() if entry.backend == "huggingface" and entry.weights}
    assert named == {name: [entry.family] for name, entry in packaged.items()}


def test_every_other_name_stands_with_its_backend():
    named = {name: quoted(row[1])[0] for row in table(["names", "backend", "tried as"]) for name in quoted(row[0])}
    others = {name: entry.backend for name, entry in CATALOGUE.items() if entry.backend != "huggingface"}
    assert named == others


def test_every_row_is_a_class_that_is_tried_or_says_why_not():
    for names, kind, tried, *_ in ROWS:
        (model_type,) = quoted(kind)
        assert kind.split()[0] == MODEL_FOR_MULTIMODAL_LM_MAPPING_NAMES[model_type]
        assert quoted(tried) or (tried.startswith("no: ") and len(tried) > 20), (names, tried)
    assert sorted(family for row in ROWS for family in quoted(row[2])) == sorted(FAMILIES)


def shared_as(vlm):
    """What the table calls it: by whether prefixes are shared, and by the layers of their caches."""
    ask(vlm, [(picture(0), question) for question in IMAGE_QUESTIONS[:2]], {"max_new_tokens": 2})
    if not vlm._asker.shares:
        return "no"
    parts = [{"type": "image", "image": picture(0)()}, {"type": "text", "text": IMAGE_QUESTIONS[0]}]
    prefixes = SharedPrefixes(vlm._decoder, [[[{"role": "user", "content": parts}]]])
    layers = {type(layer) for layer in prefixes._cache.layers} - {DummyLayer}
    if layers == {DynamicLayer}:
        return "yes"
    return "window" if layers == {DynamicLayer, DynamicSlidingWindowLayer} else "equal rests"


@pytest.mark.parametrize("family", FAMILIES)
def test_a_family_is_what_its_row_says(family, tmp_path):
    FAMILIES[family](tmp_path)
    _, kind, _, shared, _ = row_of(family)
    assert [json.loads((tmp_path / "config.json").read_text())["model_type"]] == quoted(kind)
    # Whether it can be shared, not whether it pays with so few image tokens.
    options = {"dtype": "float32", "device": "cpu", "batch_size": 4, "share_prefix": True}
    vlm = HuggingFaceVLM(str(tmp_path), **options, prompt=PROMPTS.get(family))
    assert re.split(r"[:;]", shared)[0] == shared_as(vlm)
