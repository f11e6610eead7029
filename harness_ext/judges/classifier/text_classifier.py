"""A text classifier: the log-probabilities of a response's labels, which are verdicts or options' letters."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from transformers import AutoConfig, AutoModelForSequenceClassification, AutoTokenizer, RobertaConfig, RobertaModel
from transformers.modeling_outputs import SequenceClassifierOutput
from transformers.models.roberta.modeling_roberta import RobertaPreTrainedModel

from harness_ext.common.errors import UserError, one_line
from harness_ext.common.seals import SEAL, is_sealed, require_unchanged
from harness_ext.judges.classifier import LABELS, Kind
from harness_ext.models.checkpoint import locate, read_by_libraries
from harness_ext.models.loading import default_device, load_model

# A tokenizer without a limit states a huge number.
_NO_LIMIT = 10**6


class FirstTokenConfig(RobertaConfig):
    """RoBERTa's, under another name."""

    model_type = "roberta-first-token"


class FirstTokenClassifier(RobertaPreTrainedModel):
    """The architecture of the paper's judges: RoBERTa, and one linear layer, without a hidden one, on its first token."""

    config_class = FirstTokenConfig

    def __init__(self, config: FirstTokenConfig) -> None:
        super().__init__(config)
        self.roberta = RobertaModel(config, add_pooling_layer=False)
        self.classifier = nn.Linear(config.hidden_size, config.num_labels)
        self.post_init()

    def forward(
        self, input_ids: Tensor, attention_mask: Tensor | None = None, labels: Tensor | None = None
    ) -> SequenceClassifierOutput:
        """Logits, shape (B, labels), of tokens, shape (B, T); with ``labels``, shape (B,), the mean cross-entropy too."""
        hidden = self.roberta(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state
        logits = self.classifier(hidden[:, 0])
        loss = None if labels is None else nn.functional.cross_entropy(logits, labels)
        return SequenceClassifierOutput(loss=loss, logits=logits)


# So that the Auto classes load such a checkpoint from a folder, with no code beside the weights.
AutoConfig.register(FirstTokenConfig.model_type, FirstTokenConfig)
AutoModelForSequenceClassification.register(FirstTokenConfig, FirstTokenClassifier)


class TextClassifier:
    """A checkpoint of transformers that reads labels, in float64: in float32, padding shows in the sixth digit.

    Args:
        model: Its folder, as ``save_pretrained`` writes it, with its tokenizer.
        device: A torch device; by default this process's GPU where there is one, else the CPU.
        batch_size: Responses in a forward pass.
        kind: The labels it must have: ``"alignment"`` safe, unsafe and na; ``"perception"`` A, B, C, D and na.

    Attributes:
        labels: The labels, in the order of the columns of :meth:`log_probabilities`.

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
        locate(model, None, "classifier")
        self._batch_size, self.labels = batch_size, LABELS[kind]
        cannot = f"cannot load the classifier {model!r}: "
        if is_sealed(Path(model)):
            require_unchanged(Path(model), cannot, f"make it again, or remove {SEAL} if the change is yours")
        with read_by_libraries(cannot):
            self._columns = _columns(AutoConfig.from_pretrained(model).id2label, self.labels, cannot)
            self._tokenizer = _checked_tokenizer(AutoTokenizer.from_pretrained(model), cannot)
        loaded = load_model(
            model, revision=None, dtype="float32", device="cpu", auto_class=AutoModelForSequenceClassification
        )
        self._model = loaded.double().requires_grad_(False)
        # A text too long for the table of positions would crash on a GPU, much later.
        longest = self._tokenizer.model_max_length
        with read_by_libraries(f"{cannot}of an empty text, or one of {longest} tokens (model_max_length), it makes "):
            tried = self.log_probabilities(["", "a " * longest])
        if not tried.isfinite().all():
            raise UserError(f"{cannot}its log-probabilities are not finite numbers")
        try:
            self._model.to(device or default_device())
        except (RuntimeError, AssertionError, TypeError) as error:
            raise UserError(f"device: cannot put the classifier there: {one_line(error)}") from error

    @torch.no_grad()
    def log_probabilities(self, texts: Sequence[str]) -> Tensor:
        """Log-probabilities in nats of the labels, in their order, of N texts: shape (N, labels), float64, on the CPU.

        A text is cut to the classifier's ``model_max_length``. A text's row does not depend on the others, to 12 digits.
        """
        found = torch.empty(len(texts), len(self.labels), dtype=torch.float64)
        # Texts of similar length together, for padding costs as much as text.
        order = sorted(range(len(texts)), key=lambda at: len(texts[at]))
        for start in range(0, len(texts), self._batch_size):
            chosen = order[start : start + self._batch_size]
            batch = self._tokenizer([texts[at] for at in chosen], padding=True, truncation=True, return_tensors="pt")
            inputs = {name: batch[name].to(self._model.device) for name in ("input_ids", "attention_mask")}
            found[chosen] = self._model(**inputs).logits[:, self._columns].log_softmax(dim=-1).cpu()
        return found


def _columns(by_column: Mapping[int, str], labels: Sequence[str], cannot: str) -> list[int]:
    """The column of each label in the logits."""
    if sorted(by_column.values()) != sorted(labels):
        found = ", ".join(map(str, by_column.values()))
        raise UserError(
            f"{cannot}expected the labels {', '.join(labels)} as id2label in its config.json, found {found}"
        )
    return sorted(by_column, key=lambda column: labels.index(by_column[column]))


def _checked_tokenizer(tokenizer: Any, cannot: str) -> Any:
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
