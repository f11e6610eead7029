"""One model in several processes: what is refused before its weights are read; its answers are in ``test_evaluation``."""

import pickle

import pytest
from tiny_vlms import FAMILIES

from harness_ext.common.errors import UserError
from harness_ext.common.failures import Failed, mark_failed
from harness_ext.models.hf import HuggingFaceVLM
from harness_ext.models.settings import Generated


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"device": "cpu"}, "leave out device beside tp_plan"),
        ({"device_map": "auto"}, "leave out device_map beside tp_plan"),
        ({"adapter": "x"}, "leave out adapter beside tp_plan: .* merge it"),
        ({"load_in_4bit": True}, "leave out load_in_4bit beside tp_plan"),
        ({"defence": "coca"}, "defence coca: acts within the model"),
        ({"tp_plan": "colwise"}, "tp_plan must be 'auto'"),
        ({}, "and this run has one:\ntorchrun --nproc_per_node"),
    ],
    ids=lambda value: "" if isinstance(value, str) else "+".join(value) or "one process",
)
def test_what_cannot_be_shared_out_is_refused(untrained_vlm, options, message):
    with pytest.raises(UserError, match=message):
        HuggingFaceVLM(str(untrained_vlm), **{"tp_plan": "auto", **options})


@pytest.mark.parametrize(
    ("family", "processes", "message"),
    [
        ("mllama", 2, "MllamaForConditionalGeneration, the class of .*, has no plan in transformers; take device_map"),
        ("llava", 3, "3 processes cannot share the 4 num_attention_heads of"),
        ("llava", 4, "4 processes cannot share the 2 num_key_value_heads of"),
    ],
)
def test_a_model_that_cannot_be_shared_out_is_refused(tmp_path, monkeypatch, family, processes, message):
    FAMILIES[family](tmp_path)
    monkeypatch.setenv("WORLD_SIZE", str(processes))
    with pytest.raises(UserError, match=message):
        HuggingFaceVLM(str(tmp_path), tp_plan="auto")


def test_an_answer_is_what_it_was_in_the_process_that_it_is_sent_to():
    cut, failed = pickle.loads(pickle.dumps([Generated("Yes", cut_short=True), mark_failed("out of <memory>")]))
    assert (cut, cut.cut_short) == ("Yes", True)
    assert (failed, type(failed)) == (mark_failed("out of <memory>"), Failed)
