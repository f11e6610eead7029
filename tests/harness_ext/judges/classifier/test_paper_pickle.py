"""A pickle that is not the authors' is refused with its reason, and nothing in it is run."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from paper_files import authors_module

from harness_ext.common.errors import UserError
from harness_ext.judges.classifier.paper import open_base, read_pickle

State = dict[str, Any]


def read(file: Path, base: Path) -> dict[str, torch.Tensor]:
    return dict(read_pickle(file, open_base(str(base), None, "alignment")[0]).state_dict())


def without(*names: str) -> Callable[[State], State]:
    return lambda state: {name: each for name, each in state.items() if name not in names}


def with_entry(name: str, value: object) -> Callable[[State], State]:
    return lambda state: {**state, name: value}


@pytest.mark.parametrize("pooler", [True, False])
def test_with_or_without_a_pooler_and_in_half_precision(base: Path, tmp_path: Path, pooler: bool) -> None:
    state = authors_module(base, 3, pooler=pooler).half().state_dict()
    torch.save(state, tmp_path / "a.pt")
    found = read(tmp_path / "a.pt", base)
    assert set(found) == {name for name in state if "pooler" not in name}
    assert all(torch.equal(found[name], state[name].float()) for name in found)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (without("classifier.bias"), 'Missing .*"classifier.bias"'),
        (without("roberta.pooler.dense.bias"), 'Missing .*"roberta.pooler.dense.bias"'),
        (with_entry("classifier.dense.weight", torch.zeros(32, 32)), 'Unexpected .*"classifier.dense.weight"'),
        (
            lambda state: {f"module.{name}": each for name, each in state.items()},
            'Missing .*"roberta.embeddings.word_embeddings.weight", ',
        ),
        (
            with_entry("classifier.weight", torch.zeros(5, 32)),
            r"classifier.weight: .*\[5, 32\].*current model is torch.Size\(\[3, 32\]\)",
        ),
        (
            with_entry("roberta.embeddings.word_embeddings.weight", torch.zeros(7, 32)),
            r"word_embeddings.weight: .*\[7, 32\].*current model is torch.Size\(\[\d+, 32\]\)",
        ),
        (with_entry("roberta.embeddings.position_ids", torch.zeros(1, 42)), "expected the plain table"),
        (with_entry("classifier.bias", torch.tensor([0.0, torch.nan, 0.0])), "classifier.bias: expected finite"),
        (with_entry("classifier.bias", torch.tensor([1, 2, 3])), "classifier.bias: expected finite floating-point"),
        (lambda state: list(state.values()), "expected a state dict, tensors by name, found a list"),
        (with_entry("epoch", 10), "expected a state dict, tensors by name"),
    ],
)
def test_another_state_dict(base: Path, tmp_path: Path, change: Callable[[State], object], message: str) -> None:
    torch.save(change(authors_module(base, 3).state_dict()), tmp_path / "a.pt")
    with pytest.raises(UserError, match=message):
        read(tmp_path / "a.pt", base)


def test_the_perception_classifier_in_the_place_of_alignment(base: Path, tmp_path: Path) -> None:
    torch.save(authors_module(base, 5).state_dict(), tmp_path / "a.pt")
    with pytest.raises(
        UserError,
        match=r"\[5, 32\].*current model is .*\[3, 32\].*\n.*one linear layer of 3 labels \(safe, unsafe, na\)",
    ):
        read(tmp_path / "a.pt", base)


class Malicious:
    """Makes a file when it is unpickled."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.target),)


@pytest.mark.parametrize("zipped", [True, False])
def test_code_in_a_pickle_is_not_run(base: Path, tmp_path: Path, zipped: bool) -> None:
    target, file = tmp_path / "made", tmp_path / "a.pt"
    state = {**authors_module(base, 3).state_dict(), "classifier.extra": Malicious(target)}
    torch.save(state, file, _use_new_zipfile_serialization=zipped)
    with pytest.raises(UserError, match=r"damaged or holds code.*\n*Nothing of it was run"):
        read(file, base)
    assert not target.exists()
    # It would have been made: otherwise this test could not fail.
    torch.load(file, weights_only=False)
    assert target.exists()


@given(keep=st.floats(0, 1, exclude_max=True))
@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_truncated_file_is_refused(base: Path, tmp_path: Path, keep: float) -> None:
    file = tmp_path / "a.pt"
    torch.save(authors_module(base, 3).state_dict(), file)
    whole = file.read_bytes()
    file.write_bytes(whole[: int(keep * len(whole))])
    with pytest.raises(UserError, match=r"a\.pt cannot be used: expected a pickle of tensors alone"):
        read(file, base)


@given(at=st.floats(0, 1, exclude_max=True), bytes_=st.binary(min_size=1, max_size=64))
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_damaged_file_is_read_or_refused_and_nothing_else(
    base: Path, tmp_path: Path, at: float, bytes_: bytes
) -> None:
    file = tmp_path / "a.pt"
    torch.save(authors_module(base, 3).state_dict(), file)
    content = bytearray(file.read_bytes())
    start = int(at * len(content))
    content[start : start + len(bytes_)] = bytes_
    file.write_bytes(content)
    try:
        found = read(file, base)
    except UserError as error:
        assert "a.pt " in str(error)
    else:
        assert all(each.isfinite().all() for each in found.values())
