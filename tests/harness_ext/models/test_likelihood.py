import json
import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from lmms_eval.api.instance import Instance
from spoilt import put_nan
from tiny_vlms import FAMILIES
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from harness_ext.benchmark.questions import IMAGE_QUESTIONS
from harness_ext.common.errors import UserError
from harness_ext.common.failures import is_failed, reason_of
from harness_ext.glyphworld.build import ensure_model
from harness_ext.glyphworld.model import build_processor
from harness_ext.glyphworld.render import render
from harness_ext.models.hf import HuggingFaceVLM
from harness_ext.models.likelihood import Candidates

LIKELIHOOD = {"likelihood": True, "until": []}
VERDICTS = {"Yes": ["Yes", "yes"], "No": ["No", "no"]}
# Of one token and of several, and one that another label's begins with.
MIXED = {"A": ["Swastika", "Yes"], "B": ["No, thank you", "Human flesh"], "C": ["Yes, this"], "D": ["zebra crossing"]}


def ask(vlm, docs, settings=LIKELIHOOD):
    vlm.task_dict["task"] = {"test": docs}

    def messages(doc):
        return [
            {"role": "user", "content": [{"type": "image", "url": doc["image"]}, {"type": "text", "text": doc["text"]}]}
        ]

    requests = [
        Instance(
            "generate_until",
            (doc["text"], messages, settings, at, "task", "test"),
            0,
            {"task": "task", "doc_id": at, "repeats": 1},
        )
        for at, doc in enumerate(docs)
    ]
    return vlm.generate_until(requests)


def questions(candidates, images=3):
    return [
        {"image": render(index, index).image, "text": question, "candidates": candidates}
        for index in range(images)
        for question in IMAGE_QUESTIONS
    ]


@pytest.fixture(scope="module")
def glyph_vlm():
    return str(ensure_model(0))


@pytest.fixture(scope="module")
def tokenizer():
    return build_processor().tokenizer


def teacher_forced(vlm, doc, tokens):
    """The oracle: the log-probability of ``tokens`` after the prompt, from one forward of all of it without a cache."""
    decoder = vlm._decoder
    content = [{"type": "image", "image": doc["image"]}, {"type": "text", "text": doc["text"]}]
    inputs = decoder.encode([[{"role": "user", "content": content}]])
    length = inputs["input_ids"].shape[1]
    ids = torch.cat([inputs["input_ids"], torch.tensor([tokens])], 1)
    with torch.no_grad():
        logits = decoder.model(input_ids=ids, pixel_values=inputs["pixel_values"], use_cache=False).logits[0].double()
    return sum(float(logits[length - 1 + at].log_softmax(-1)[token]) for at, token in enumerate(tokens))


def test_a_template_that_thinks_first_is_refused(glyph_vlm):
    vlm = HuggingFaceVLM(pretrained=glyph_vlm, device="cpu", dtype="float32", batch_size=1)
    tokenizer = vlm._decoder.processor
    tokenizer.chat_template = tokenizer.chat_template + "{% if add_generation_prompt %}<think>\n{% endif %}"
    with pytest.raises(UserError, match="task: the model's chat template opens a thought before the answer"):
        ask(vlm, questions(VERDICTS))
    tokenizer.chat_template = tokenizer.chat_template.replace("<think>\n", "<think>\n\n</think>\n\n")
    assert len(ask(vlm, questions(VERDICTS))) == 15


@pytest.mark.parametrize("candidates", [VERDICTS, MIXED], ids=["verdicts", "mixed"])
@pytest.mark.parametrize(
    "options",
    [{"batch_size": 8, "share_prefix": True}, {"batch_size": 1, "share_prefix": False}],
    ids=["shared", "alone"],
)
def test_scores_are_the_probabilities_of_every_spelling(glyph_vlm, candidates, options):
    vlm = HuggingFaceVLM(glyph_vlm, dtype="float32", device="cpu", **options)
    docs = questions(candidates)
    spelt = Candidates.tokenise(candidates, vlm._decoder.processor.tokenizer).labels
    for doc, scores in zip(docs, map(json.loads, ask(vlm, docs)), strict=True):
        total = {label: sum(math.exp(teacher_forced(vlm, doc, one)) for one in ways) for label, ways in spelt.items()}
        if candidates is MIXED:
            # What begins with "Yes, this" begins with "Yes" too, and is counted for the longer.
            total["A"] -= total["C"]
        assert {label: math.exp(score) for label, score in scores.items()} == pytest.approx(total, rel=1e-4, abs=1e-9)
        assert sum(total.values()) <= 1 + 1e-9


def test_the_likelier_verdict_is_the_one_that_is_generated(glyph_vlm):
    vlm = HuggingFaceVLM(glyph_vlm, dtype="float32", device="cpu", batch_size=16)
    docs = questions(VERDICTS, images=20)
    scored = [max(scores, key=scores.get) for scores in map(json.loads, ask(vlm, docs))]
    generated = ask(vlm, docs, {"max_new_tokens": 2})
    assert all(answer.strip().startswith(label) for answer, label in zip(generated, scored, strict=True))
    assert len(set(scored)) == 2


def test_forms_are_spelt_as_an_answer_may_begin(tokenizer):
    labels = Candidates.tokenise(VERDICTS, tokenizer).labels
    for label, ways in labels.items():
        assert {tokenizer.decode(tokens).strip().lower() for tokens in ways} == {label.lower()}
        assert len(ways) > 1


@pytest.mark.parametrize(
    ("forms", "message"),
    [
        ({"Yes": ["Yes"], "No": []}, "cannot spell any of the forms"),
        ({"Yes": ["Yes"], "Sure": ["Sure", "Yes"]}, "begin with the same tokens"),
    ],
)
def test_candidates_that_cannot_be_told_apart_are_refused(tokenizer, forms, message):
    with pytest.raises(UserError, match=message):
        Candidates.tokenise(forms, tokenizer)


@pytest.mark.parametrize("kind", ["byte-level", "metaspace"])
def test_a_word_that_is_one_token_after_a_space_and_several_without_keeps_both_spellings(kind):
    """As in most vocabularies: an answer begins where a line begins, and a word there has more tokens."""
    space = "\u0120" if kind == "byte-level" else "\u2581"
    pieces = [*"ABlod\n\u010a", space, *(space + "Blood"[:length] for length in range(1, 6))]
    merges = [(space + "Blood"[:length], "Blood"[length]) for length in range(5)]
    tokenizer = Tokenizer(models.BPE({piece: at for at, piece in enumerate(pieces)}, merges))
    if kind == "byte-level":
        tokenizer.pre_tokenizer, tokenizer.decoder = (
            pre_tokenizers.ByteLevel(add_prefix_space=False),
            decoders.ByteLevel(),
        )
    else:
        tokenizer.pre_tokenizer, tokenizer.decoder = pre_tokenizers.Metaspace(), decoders.Metaspace()
    wrapped = PreTrainedTokenizerFast(tokenizer_object=tokenizer)
    spelt = Candidates.tokenise({"A": ["A", "Blood"], "B": ["B"]}, wrapped).labels
    assert {len(tokens) == 1 for tokens in spelt["A"] if wrapped.decode(tokens).strip() == "Blood"} == {True, False}
    # A model that says "Blood" at the start of a line has not chosen the option "B".
    bare = next(tokens for tokens in spelt["A"] if len(tokens) > 1 and wrapped.decode(tokens[:1]).strip() == "B")
    candidates = Candidates(spelt)
    forced = candidates.forced()
    steps = []
    for step in range(max(map(len, forced))):
        logits = torch.full((len(forced), len(wrapped)), -30.0)
        for row, tokens in enumerate(forced):
            said = tokens[:step] == bare[:step] and step < len(bare)
            logits[row, bare[step] if said else 0] = 30.0
        steps.append(logits)
    scores = json.loads(candidates.score(forced, steps))
    assert math.exp(scores["A"]) == pytest.approx(1.0)
    assert math.exp(scores["B"]) == pytest.approx(0.0, abs=1e-9)


@pytest.mark.parametrize("score", [math.nan, math.inf])
def test_scores_that_are_no_distribution_are_an_error(score):
    candidates = Candidates({"Yes": frozenset({(0,)}), "No": frozenset({(1,)})})
    with pytest.raises(ValueError, match="no distribution"):
        candidates.score(candidates.forced(), [torch.tensor([[score, 0.0]])])


def test_a_question_whose_scores_are_not_finite_fails_and_its_neighbours_do_not(tmp_path):
    FAMILIES["llava"](tmp_path)
    docs = [
        doc | {"text": doc["text"] + (" <unk>" if at % 3 == 1 else "")} for at, doc in enumerate(questions(MIXED, 2))
    ]

    def scored():
        options = {"dtype": "float32", "device": "cpu", "batch_size": 4, "share_prefix": False, "max_failed": 1.0}
        return ask(HuggingFaceVLM(str(tmp_path), **options), docs)

    expected = scored()
    put_nan(tmp_path, "<unk>")
    for doc, answer, healthy in zip(docs, scored(), expected, strict=True):
        if "<unk>" in doc["text"]:
            assert "no distribution (NaN or infinite)" in reason_of(answer)
        assert is_failed(answer) if "<unk>" in doc["text"] else answer == healthy


def test_rows_without_candidates_are_refused(glyph_vlm):
    vlm = HuggingFaceVLM(glyph_vlm, dtype="float32", device="cpu")
    with pytest.raises(UserError, match="needs a column 'candidates'"):
        ask(vlm, [{"image": render(0, 0).image, "text": "?"}])


@given(st.integers(0, 2**32), st.integers(2, 5))
def test_the_scores_of_a_whole_vocabulary_sum_to_one(seed, size):
    """Every pair of tokens but those that begin with the first, and that one as a whole: a partition."""
    generator = torch.Generator().manual_seed(seed)
    pairs = {f"{a},{b}": frozenset({(a, b)}) for a in range(1, size) for b in range(size)}
    candidates = Candidates({"first": frozenset({(0,)}), "inner": frozenset({(0, 1)}), **pairs})
    forced = candidates.forced()
    first = torch.randn(1, size, generator=generator).expand(len(forced), -1)
    after = torch.randn(size, size, generator=generator)
    second = torch.stack([after[tokens[0]] for tokens in forced])
    scores = json.loads(candidates.score(forced, [first, second]))
    assert sum(map(math.exp, scores.values())) == pytest.approx(1.0)
