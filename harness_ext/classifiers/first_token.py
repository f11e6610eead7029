"""The architecture of the paper's judges: RoBERTa, and one linear layer on the last hidden state of the first token.

Transformers' own head for RoBERTa has a hidden layer with tanh before that, which theirs has not. Importing this module
lets transformers' Auto classes load such a checkpoint from a folder, with no code beside the weights.
"""

from torch import Tensor, nn
from transformers import AutoConfig, AutoModelForSequenceClassification, RobertaConfig, RobertaModel
from transformers.modeling_outputs import SequenceClassifierOutput
from transformers.models.roberta.modeling_roberta import RobertaPreTrainedModel


class FirstTokenConfig(RobertaConfig):
    """RoBERTa's, under another name."""

    model_type = "roberta-first-token"


class FirstTokenClassifier(RobertaPreTrainedModel):
    """See the module's docstring."""

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


AutoConfig.register(FirstTokenConfig.model_type, FirstTokenConfig)
AutoModelForSequenceClassification.register(FirstTokenConfig, FirstTokenClassifier)
