"""A backend whose model runs in this process: what its answers rest on is read from files, whatever they are called."""

import importlib.metadata
from collections.abc import Mapping

import torch
from transformers import PreTrainedModel

from harness_ext import __version__
from harness_ext.models.answering import AnsweringModel
from harness_ext.models.checkpoint import record_model


class LocalModel(AnsweringModel):
    """What backends share whose model runs in this process; each calls :meth:`loaded` once its model can be asked."""

    _model: PreTrainedModel
    _device: torch.device
    _identity: Mapping[str, str]

    def loaded(
        self,
        model: PreTrainedModel,
        pretrained: str,
        commit: str | None,
        adapter: str | None,
        rests_on: Mapping[str, str],
    ) -> None:
        """Note in the result file and in the answers' identity what ``model`` is, its adapter included.

        For ``pretrained``, ``commit`` and ``adapter`` see :func:`record_model`; ``rests_on`` is what else the last bits of
        this backend's answers depend on.
        """
        self._model = model
        # The harness deletes every module of this object once generation is over, and asks for the device after that.
        self._device = model.device
        self._identity = {
            **record_model(pretrained, commit, adapter, model.dtype),
            "dtype": str(model.dtype),
            "device": self._device.type,
            **rests_on,
            "torch": torch.__version__,
            "transformers": importlib.metadata.version("transformers"),
            "unsafeconcepts": __version__,
        }

    @property
    def device(self) -> torch.device:
        """Where inputs go."""
        return self._device

    def identity(self) -> Mapping[str, str]:
        """Weights, code and adapter by their contents, and what else the last bits of an answer depend on."""
        return self._identity
