"""A text classifier that says how likely each label is of a response: of a verdict, or of an option's letter."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from transformers import AutoConfig, AutoModelForSequenceClassification, AutoTokenizer

from harness_ext.classifiers import first_token  # noqa: F401 - so that the Auto classes know it
from harness_ext.classifiers.labels import LABELS, Kind
from harness_ext.errors import UserError
from harness_ext.models.checkpoint import UNREADABLE, locate, require_weights
from harness_ext.models.loading import default_device

# A tokenizer that was never told how long a text may be says a number beyond all bounds.
_NO_LIMIT = 10**6


class TextClassifier:
    """A checkpoint of transformers with the labels of its kind, never trained.

    In float64, for what is read in a response must be its own: in float32 its neighbours' padding shows in the sixth digit.

    Args:
        model: Its folder, as ``save_pretrained`` writes it, with its tokenizer.
        device: As torch calls it; by default this process's GPU where there is one, else the CPU.
        batch_size: Responses in a forward pass.
        kind: Whose labels it must have: ``"alignment"`` safe, unsafe and na; ``"perception"`` A, B, C, D and na.

    Attributes:
        labels: These, in the order of the columns of :meth:`log_probabilities`.

    Raises:
        UserError: It cannot be loaded, or its labels are others.
    """

    def __init__(self, model: str, device: str | None = None, batch_size: int = 32, kind: Kind = "alignment") -> None:
        if batch_size < 1:
            raise UserError(f"batch_size: expected at least 1, found {batch_size}")
        if not Path(model).is_dir():
            raise UserError(
                f"model: expected the folder of a text classifier, found {model!r}; "
                "of a hub repository `hf download OWNER/NAME --revision COMMIT` makes one"
            )
        cannot = f"cannot load the classifier {model!r}: "
        require_weights(model, locate(model, None, "classifier"))
        self.labels = LABELS[kind]
        self._batch_size = batch_size
        self._columns = _columns(model, self.labels, cannot)
        self._tokenizer = _tokenizer(model, cannot)
        self._model = _model(model, cannot)
        # A text too long for its table of positions would be found out about on a GPU by a crash, much later.
        try:
            tried = self.log_probabilities(["", "a " * self._tokenizer.model_max_length])
        except (IndexError, RuntimeError, ValueError) as error:
            raise UserError(
                f"{cannot}of an empty text, or one of {self._tokenizer.model_max_length} tokens (model_max_length), it makes "
                f"{_short(error)}"
            ) from error
        if not tried.isfinite().all():
            raise UserError(f"{cannot}its log-probabilities are not finite numbers")
        try:
            self._model.to(device or default_device())
        except (RuntimeError, AssertionError, TypeError) as error:
            raise UserError(f"device: cannot put the classifier there: {_short(error)}") from error

    @torch.no_grad()
    def log_probabilities(self, texts: Sequence[str]) -> Tensor:
        """Log-probabilities in nats of the labels, in their order, of N texts: shape (N, labels), float64, on the CPU.

        A text is cut to the classifier's ``model_max_length``. A text's row does not depend on the others, to 12 digits.
        """
        found = torch.empty(len(texts), len(self.labels), dtype=torch.float64)
        # Texts of like length together: what is padded is computed too.
        order = sorted(range(len(texts)), key=lambda at: len(texts[at]))
        for start in range(0, len(texts), self._batch_size):
            chosen = order[start : start + self._batch_size]
            batch = self._tokenizer([texts[at] for at in chosen], padding=True, truncation=True, return_tensors="pt")
            inputs = {name: batch[name].to(self._model.device) for name in ("input_ids", "attention_mask")}
            found[chosen] = self._model(**inputs).logits[:, self._columns].log_softmax(dim=-1).cpu()
        return found


def _columns(model: str, wanted: Sequence[str], cannot: str) -> list[int]:
    """Where in the logits each of the labels is."""
    try:
        labels = AutoConfig.from_pretrained(model).id2label
    except (OSError, ValueError) as error:
        raise UserError(cannot + _short(error)) from error
    if sorted(labels.values()) != sorted(wanted):
        found = ", ".join(map(str, labels.values()))
        raise UserError(
            f"{cannot}expected the labels {', '.join(wanted)} as id2label in its config.json, found {found}"
        )
    by_label = {label: index for index, label in labels.items()}
    return [by_label[label] for label in wanted]


def _tokenizer(model: str, cannot: str) -> Any:
    try:
        tokenizer = AutoTokenizer.from_pretrained(model)
    except (OSError, ValueError, ImportError) as error:
        raise UserError(cannot + _short(error)) from error
    if tokenizer.model_max_length > _NO_LIMIT:
        raise UserError(
            f"{cannot}its tokenizer does not say how many tokens a text may have: "
            "write model_max_length (512 of RoBERTa) into its tokenizer_config.json"
        )
    if tokenizer.pad_token is None:
        raise UserError(f"{cannot}its tokenizer has no padding token, which batches need")
    # On the left, padding would move the positions of a text.
    tokenizer.padding_side = "right"
    return tokenizer


def _model(model: str, cannot: str) -> Any:
    try:
        loaded, report = AutoModelForSequenceClassification.from_pretrained(
            model, dtype=torch.float64, output_loading_info=True
        )
    except (OSError, ValueError, ImportError, RuntimeError, *UNREADABLE) as error:
        raise UserError(cannot + _short(error)) from error
    if lacking := sorted(map(str, [*report["missing_keys"], *report["mismatched_keys"]])):
        raise UserError(
            f"{cannot}its weights lack {len(lacking)} tensors, {lacking[0]} the first, which would be random: "
            "expected a classifier that was trained, not a base model"
        )
    return loaded.eval().requires_grad_(False)


def _short(error: Exception) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"
