"""The paper's judges, from files in exactly the authors' format; the oracle is the authors' module itself."""

import hashlib
import json
from pathlib import Path

import pytest
import torch
from paper_files import authors_module, write_pickle
from safetensors.torch import load_file, save_file
from transformers import AutoTokenizer

from harness_ext.common.errors import UserError
from harness_ext.judges.base import AlignmentAnswer, Answer, PerceptionAnswer
from harness_ext.judges.classifier.judge import ClassifierJudge
from harness_ext.judges.classifier.text_classifier import TextClassifier
from harness_ext.judges.registry import open_judge

OPTIONS = {"A": "Arson", "B": "Burglary", "C": "Swastika", "D": "Gun violence"}
WORDS = ["Yes", "No", "safe", "harmful", "image", "media.", "the", "I", "cannot"]
TEXTS = ["", "safe " * 60, *(f"{a} {b} {c}" for a in WORDS for b in WORDS for c in WORDS[:3])]
ALIGNMENT = [AlignmentAnswer(at % 5, text) for at, text in enumerate(TEXTS)]
PERCEPTION = [PerceptionAnswer(OPTIONS, text) for text in TEXTS]


def judge(base: Path, **options: object) -> ClassifierJudge:
    """The judge of these files, which are meant."""
    files = {kind: Path(str(options[kind])) for kind in ("alignment", "perception") if kind in options}
    meant = {f"{kind}_sha256": sha256(file) for kind, file in files.items() if file.is_file()}
    return opened(base, **{**meant, **options})


def sha256(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()


def opened(base: Path, **options: object) -> ClassifierJudge:
    found = open_judge(
        "paper", {"base": str(base), "device": "cpu", **{key: str(each) for key, each in options.items()}}
    )
    assert isinstance(found, ClassifierJudge)
    return found


def by_the_authors(base: Path, labels: str, seed: int) -> list[str]:
    """What the authors' module says of each text, one at a time and without padding."""
    module = authors_module(base, len(labels.split()), seed).double()
    tokenizer = AutoTokenizer.from_pretrained(base)
    found = []
    for text in TEXTS:
        tokens = tokenizer(text, return_tensors="pt", truncation=True, max_length=40)
        found.append(labels.split()[module(tokens.input_ids).argmax().item()])
    return found


def test_its_verdicts_are_those_of_the_authors_module(base: Path, alignment: Path, perception: Path) -> None:
    both = judge(base, alignment=alignment, perception=perception, batch_size=7)
    expected = by_the_authors(base, "safe unsafe na", 0), by_the_authors(base, "A B C D na", 1)
    assert len(set(expected[0])) > 1 and len(set(expected[1])) > 1
    mixed: list[Answer] = [answer for pair in zip(ALIGNMENT, PERCEPTION, strict=True) for answer in pair]
    assert list(both.judge(mixed)) == [verdict for pair in zip(*expected, strict=True) for verdict in pair]
    assert both.name == "paper-roberta-" + "-".join(sha256(file)[:12] for file in (alignment, perception))


def test_a_kind_without_a_classifier_is_refused_before_anything_is_read(base: Path, alignment: Path) -> None:
    one = judge(base, alignment=alignment)
    with pytest.raises(UserError, match=r"answer 2 is one of perception, expected alignment alone"):
        one.judge([ALIGNMENT[0], PERCEPTION[0]])


def test_other_options_than_its_labels_are_refused_before_anything_is_read(base: Path, perception: Path) -> None:
    one = judge(base, perception=perception)
    with pytest.raises(UserError, match=r"answer 1 has the options A, B, expected A, B, C, D"):
        one.judge([PerceptionAnswer({"A": "a cat", "B": "a dog"}, "B")])


def test_a_second_time_it_is_the_kept_folder(base: Path, alignment: Path, cache: Path) -> None:
    first = judge(base, alignment=alignment)
    (folder,) = (path for path in cache.iterdir() if path.is_dir())
    written = (folder / "model.safetensors").stat().st_mtime_ns
    assert judge(base, alignment=alignment).name == first.name
    assert (folder / "model.safetensors").stat().st_mtime_ns == written
    record = json.loads((folder / "source.json").read_text())
    assert record["sha256"] == sha256(alignment)


def test_another_file_at_the_same_place_is_refused_until_it_is_meant(base: Path, alignment: Path) -> None:
    before = judge(base, alignment=alignment)
    write_pickle(alignment, base, labels=3, seed=2)
    with pytest.raises(UserError, match=r"the file that was read first .*\n.*alignment_sha256=") as refused:
        opened(base, alignment=alignment)
    meant = sha256(alignment)
    assert meant in str(refused.value)
    after = judge(base, alignment=alignment, alignment_sha256=meant)
    assert after.name == f"paper-roberta-{meant[:12]}" != before.name
    assert list(after.judge(ALIGNMENT)) == by_the_authors(base, "safe unsafe na", 2)
    assert opened(base, alignment=alignment).name == after.name


def test_another_sha256_is_refused_and_nothing_is_kept(base: Path, alignment: Path, cache: Path) -> None:
    with pytest.raises(
        UserError, match=rf"expected the sha256 {'0' * 64}, given, found [0-9a-f]{{64}}; nothing of it was read"
    ):
        judge(base, alignment=alignment, alignment_sha256="0" * 64)
    assert not [path for path in cache.iterdir() if path.is_dir()]


def test_kept_weights_that_were_changed_are_refused(base: Path, alignment: Path, cache: Path) -> None:
    judge(base, alignment=alignment)
    (weights,) = cache.glob("*/model.safetensors")
    state = load_file(weights)
    save_file({**state, "classifier.bias": state["classifier.bias"] + 1}, weights, metadata={"format": "pt"})
    with pytest.raises(UserError, match=r"is not what was written there .*; remove that folder"):
        judge(base, alignment=alignment)


def test_a_file_of_an_unknown_sha256_is_not_read_until_it_is_named(base: Path, alignment: Path, cache: Path) -> None:
    alignment.write_bytes(b"\x80\x02cposix\nsystem\n.")
    with pytest.raises(UserError, match=rf"none is known here.*\n.*alignment_sha256={sha256(alignment)}"):
        opened(base, alignment=alignment)
    assert not [path for path in cache.iterdir() if path.is_dir()]


@pytest.mark.parametrize("name", ["config.json", "tokenizer.json", "source.json", "digests.json"])
def test_a_kept_folder_of_which_any_file_was_changed_is_refused(
    base: Path, alignment: Path, cache: Path, name: str
) -> None:
    judge(base, alignment=alignment)
    (file,) = cache.glob(f"*/{name}")
    file.write_text(file.read_text().replace("1", "2"))
    with pytest.raises(UserError, match=r"(is not what was written there|cannot be read).*; remove that folder"):
        judge(base, alignment=alignment)
    with pytest.raises(UserError, match=r"cannot load the classifier .*make it again"):
        TextClassifier(str(file.parent), "cpu")


def test_a_kept_folder_from_before_there_were_seals_is_converted_again(
    base: Path, alignment: Path, cache: Path
) -> None:
    before = judge(base, alignment=alignment)
    (seal,) = cache.glob("*/digests.json")
    seal.unlink()
    (seal.parent / "config.json").write_text("{}")
    after = opened(base, alignment=alignment)
    assert after.name == before.name and list(after.judge(ALIGNMENT)) == list(before.judge(ALIGNMENT))
    assert seal.is_file()


@pytest.mark.parametrize("name", ["model.safetensors", "source.json"])
def test_a_kept_folder_that_lost_a_file_is_refused_with_the_way_out(
    base: Path, alignment: Path, cache: Path, name: str
) -> None:
    judge(base, alignment=alignment)
    next(cache.glob(f"*/{name}")).unlink()
    with pytest.raises(UserError, match=rf"{name} cannot be read .*; remove that folder, and it is converted again"):
        judge(base, alignment=alignment)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "say which classifiers: alignment_revision=COMMIT or perception_revision=COMMIT"),
        ({"alignment_sha256": "0" * 64}, "expected either alignment_revision=COMMIT, .* or alignment=FILE"),
        ({"alignment": "a.pt", "alignment_revision": "main"}, "expected either alignment_revision=COMMIT"),
        ({"alignment": "nowhere.pt"}, r"nowhere.pt cannot be read \(No such file"),
        ({"alignment": "nowhere.pt", "alignment_sha256": "abc"}, "alignment_sha256: expected 64 hexadecimal digits"),
        ({"alignment_revision": "main"}, "cannot look up the revision 'main' of yiting/alignment_classifier"),
        ({"perception_revision": "0" * 40}, "cannot fetch epoch_10.pt of yiting/perception_classifier at 0000"),
    ],
)
def test_options_that_name_no_classifier(base: Path, options: dict[str, str], message: str) -> None:
    with pytest.raises(UserError, match=message):
        judge(base, **options)


def test_a_base_of_another_tokenizer_is_refused(base: Path, alignment: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    for file in base.iterdir():
        (other / file.name).write_bytes(file.read_bytes())
    config = json.loads((other / "config.json").read_text())
    (other / "config.json").write_text(json.dumps({**config, "vocab_size": 50265}))
    with pytest.raises(UserError, match="expected roberta-base with its tokenizer, found a roberta of 50265 words"):
        judge(other, alignment=alignment)


def test_the_reward_of_align_takes_the_converted_folder(base: Path, alignment: Path, cache: Path) -> None:
    from align.rewards.verdict import classifier

    judge(base, alignment=alignment)
    (folder,) = (path for path in cache.iterdir() if path.is_dir())
    module, tokenizer = authors_module(base, 3).double(), AutoTokenizer.from_pretrained(base)
    logits = torch.cat([module(tokenizer(text, return_tensors="pt").input_ids) for text in TEXTS[2:6]])
    expected = logits.log_softmax(-1)[:, 1].tolist()
    reward = classifier(model=str(folder), floor=-100.0, device="cpu")
    assert reward(completions=TEXTS[2:6], label=["unsafe"] * 4) == pytest.approx(expected, abs=1e-9)
