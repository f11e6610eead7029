"""Reads the authors' checkpoint, one pickled state dict, into the tensors of our architecture; runs and trusts nothing in it.

The code that reads it (github.com/TrustAIRLab/SaferVLM, summarize_measure.py) has a module of ``roberta``, transformers'
RobertaModel of roberta-base, and ``classifier``, one linear layer. That code loads with ``strict=False``, so a file of other
names would leave the model unchanged; here every name and shape is checked.
"""

import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import torch
from torch import Tensor

from harness_ext.common.errors import UserError
from harness_ext.common.files import sha256
from harness_ext.judges.classifier.text_classifier import FirstTokenClassifier, FirstTokenConfig
from harness_ext.models.checkpoint import require_whole

# RobertaModel has a pooler by default, which goes unused. Transformers before 4.31 also saved the tables of positions and
# token types, which hold no weights.
_POOLER: Final = ("roberta.pooler.dense.weight", "roberta.pooler.dense.bias")
_TABLES: Final = ("roberta.embeddings.position_ids", "roberta.embeddings.token_type_ids")
# The errors of torch for bytes that are not a pickle, not a whole one, or one of more than tensors.
_UNREADABLE: Final = (
    pickle.UnpicklingError, OSError, EOFError, RuntimeError, ValueError, LookupError, TypeError, AttributeError,
    AssertionError, MemoryError,
)  # fmt: skip


def file_sha256(file: Path) -> str:
    """The sha256 of a file, 64 hexadecimal digits. Raises ``UserError`` where it cannot be read."""
    try:
        return sha256(file)
    except OSError as error:
        raise UserError(f"{file} cannot be read ({error.strerror}); expected the authors' file epoch_10.pt") from error


def read_tensors(file: Path, config: FirstTokenConfig) -> dict[str, Tensor]:
    """The tensors of a ``FirstTokenClassifier`` of ``config``, read from a pickled state dict.

    Raises:
        UserError: It is not whole, holds something other than tensors, or other tensors than these.
    """
    cannot = f"{file} cannot be used: "
    require_whole(file, "")
    try:
        state = torch.load(file, map_location="cpu", weights_only=True, mmap=False)
    except _UNREADABLE as error:
        found = " ".join(str(error).split())[:200]
        raise UserError(
            f"{cannot}expected a pickle of tensors alone, found one that is damaged or holds code ({type(error).__name__}: "
            f"{found}).\nNothing of it was run; fetch the file again, from where it was published"
        ) from error
    if not isinstance(state, Mapping) or not all(
        isinstance(name, str) and isinstance(value, Tensor) for name, value in state.items()
    ):
        raise UserError(f"{cannot}expected a state dict, tensors by name, found a {type(state).__name__} of others")
    return _checked(dict(state), config, cannot)


def _checked(state: dict[str, Tensor], config: FirstTokenConfig, cannot: str) -> dict[str, Tensor]:
    with torch.device("meta"):
        wanted = {name: tuple(value.shape) for name, value in FirstTokenClassifier(config).state_dict().items()}
    size, positions = config.hidden_size, config.max_position_embeddings
    shapes = {**wanted, **dict.fromkeys(_TABLES, (1, positions))}
    shapes |= dict(zip(_POOLER, [(size, size), (size,)], strict=True))
    pooler = [name for name in _POOLER if name in state]
    missing = sorted(wanted.keys() - state.keys()) + (sorted(set(_POOLER) - set(pooler)) if pooler else [])
    unknown = sorted(state.keys() - shapes.keys())
    if missing or unknown:
        parts = [f"lacks {_some(missing)}"] * bool(missing) + [f"holds {_some(unknown)} too"] * bool(unknown)
        raise UserError(
            f"{cannot}expected `roberta.` (RobertaModel of the base) and `classifier.` (one linear layer), but it "
            f"{' and '.join(parts)}.\nIs it the authors' epoch_10.pt, and base=… roberta-base?"
        )
    for name, value in state.items():
        if tuple(value.shape) != shapes[name]:
            raise UserError(
                f"{cannot}{name}: expected the shape {shapes[name]}, found {tuple(value.shape)}.\n"
                f"Expected a classifier of {config.num_labels} labels ({', '.join(config.id2label.values())}) on the base "
                f"that base=… names; alignment and perception have a file each"
            )
    for name in _TABLES:
        expected = torch.arange(positions) if name == _TABLES[0] else torch.zeros(positions)
        if name in state and not torch.equal(state[name][0].double(), expected.double()):
            raise UserError(f"{cannot}{name}: expected the plain table that RoBERTa has, found another")
    tensors = {name: state[name] for name in wanted}
    if wrong := [
        name for name, value in tensors.items() if not value.is_floating_point() or not value.isfinite().all()
    ]:
        raise UserError(f"{cannot}{_some(wrong)}: expected finite floating-point numbers")
    return {name: value.float().contiguous() for name, value in tensors.items()}


def _some(names: list[str]) -> str:
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return ", ".join(names[:3]) + more
