"""The model that is trained, loaded as an evaluation loads it, and the LoRA on its language side."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig
from PIL import Image
from torch import nn
from transformers import PreTrainedModel, ProcessorMixin

from align.rendering import asked_inputs
from align.settings import ModelConfig
from harness_ext.common.errors import UserError
from harness_ext.common.reading import read_json
from harness_ext.glyphworld.build import ensure_model
from harness_ext.models.catalogue import load_catalogue
from harness_ext.models.checkpoint import locate, require_family, require_weights
from harness_ext.models.loading import load_model, load_processor
from harness_ext.models.names import GLYPHWORLD


@dataclass(frozen=True)
class Base:
    """The origin of a model.

    Attributes:
        name: The recipe's name for it.
        pretrained: An absolute folder, or a hub repository.
        commit: The repository's commit; ``None`` for a folder.
        asked_as: The ``--model`` and further ``--model_args`` of an adapter's evaluation, such as ``("glyph-vlm", "")``.
        prompt: The chat template, where it is not the processor's own.
        template_options: The chat template's arguments beside the conversation.
    """

    name: str
    pretrained: str
    commit: str | None
    asked_as: tuple[str, str]
    prompt: str | None = None
    template_options: Mapping[str, Any] = field(default_factory=dict)


def find_base(config: ModelConfig) -> Base:
    """Finds the model that ``config.model`` names: in the catalogue, in a folder, or in a hub repository.

    Loads nothing, and builds the embedded model where it is missing. Raises ``UserError`` where the model cannot be trained.
    """
    base = _find(config)
    if not config.load_in_4bit:
        return base
    # An adapter is asked on the base that it was trained on.
    name, arguments = base.asked_as
    return replace(base, asked_as=(name, f"{arguments},load_in_4bit=True".lstrip(",")))


def _find(config: ModelConfig) -> Base:
    entry = load_catalogue().get(config.model)
    if entry is None:
        weights, revision = config.model, config.model_revision
        base = Base(config.model, weights, None, ("hf-vlm", f"pretrained={config.model}"))
    elif entry.backend != "huggingface" or entry.needs.remote_code:
        raise UserError(
            f"model {config.model!r} cannot be trained here: its backend is {entry.backend!r}; expected one of transformers' "
            "own models (`lmms_eval models` lists them)"
        )
    elif not entry.weights:
        raise UserError(f"model {config.model!r} stands for any weights: name a folder or a hub repository instead")
    elif entry.weights.startswith(GLYPHWORLD):
        seed = config.glyphworld_seed
        if config.model_revision is not None:
            raise UserError(f"model_revision: {config.model!r} has none; say glyphworld_seed")
        asked_as = "" if entry.weights == f"{GLYPHWORLD}{seed}" else f"pretrained={GLYPHWORLD}{seed}"
        return Base(config.model, str(ensure_model(seed)), None, (config.model, asked_as))
    else:
        weights, revision = entry.weights, config.model_revision or entry.revision
        if entry.family:
            require_family(weights, revision, entry.family)
        base = Base(config.model, weights, None, (config.model, ""), entry.prompt, entry.template_options)
    _refuse_adapter(Path(weights))
    folder = locate(weights, revision, "weights")
    require_weights(weights, folder)
    if Path(weights).is_dir():
        return replace(base, pretrained=str(Path(weights).absolute()))
    return replace(base, commit=folder.name)


def load(
    base: Base, config: ModelConfig, device: torch.device, sharded: bool = False
) -> tuple[PreTrainedModel, ProcessorMixin]:
    """The model on its device, without an adapter, and its processor. Raises ``UserError`` unless it loads as a decoder.

    ``sharded`` is as in :func:`harness_ext.models.loading.load_model`.
    """
    processor = load_processor(base.pretrained, base.commit, False, base.prompt)
    _require_image_slot(base, processor)
    model = load_model(
        base.pretrained,
        revision=base.commit,
        dtype=config.dtype,
        device=str(device),
        attn_implementation=config.attn_implementation,
        load_in_4bit=config.load_in_4bit,
        sharded=sharded,
    )
    if model.config.get_text_config().is_encoder_decoder:
        raise UserError(f"model {base.name!r} answers by an encoder and a decoder; expected a decoder alone")
    return model, processor


def _refuse_adapter(folder: Path) -> None:
    """Raise ``UserError`` where ``folder`` holds an adapter: a run trains a new one on weights that have none."""
    file = folder / "adapter_config.json"
    if file.is_file():
        named = read_json(file, last_wins=True).get("base_model_name_or_path")
        raise UserError(
            f"model {str(folder)!r} is a LoRA adapter (of {named}), and a run trains a new LoRA on base weights:\n"
            "name its base, or merge the adapter into it first (merge_and_unload of peft) and name the merged model's folder"
        )


def _require_image_slot(base: Base, processor: ProcessorMixin) -> None:
    """Raise ``UserError`` where the chat template leaves out the image: the processor finds no place for it."""
    problem = f"model {base.name!r}: its chat template does not put the image into a prompt"
    remedy = "give it the template of its family (chat_template.jinja in its folder, or `prompt: …` in a models file)"
    try:
        asked_inputs(processor, "What is it?", Image.new("RGB", (64, 64)), base.template_options)
    except ValueError as error:
        raise UserError(f"{problem} ({error}): {remedy}") from error


def lora_config(model: PreTrainedModel, config: ModelConfig, commit: str | None = None) -> LoraConfig:
    """The LoRA on the layers of ``model``'s language model that ``config.lora_modules`` names."""
    return LoraConfig(
        r=config.lora_r,
        lora_alpha=config.lora_alpha,
        lora_dropout=config.lora_dropout,
        target_modules=language_layers(model, config.lora_modules),
        task_type="CAUSAL_LM",
        revision=commit,
    )


def language_layers(model: PreTrainedModel, names: list[str]) -> str:
    """A regular expression for the paths of the linear layers called ``names`` in the blocks of ``model``'s language model.

    The vision tower, the projector and the embeddings have layers of the same names, which it does not match. Raises
    ``UserError`` for a name of no linear layer there.
    """
    blocks = rf"{re.escape(_blocks(model))}\.\d+\."
    linear = [
        path for path, module in model.named_modules() if isinstance(module, nn.Linear) and re.match(blocks, path)
    ]
    known = sorted({path.rpartition(".")[2] for path in linear})
    if missing := [name for name in names if name not in known]:
        raise UserError(
            f"lora_modules: the language model has no linear layers called {', '.join(missing)}; "
            f"expected some of {', '.join(known)}"
        )
    return rf"{blocks}(?:.+\.)?(?:{'|'.join(map(re.escape, names))})"


def _blocks(model: PreTrainedModel) -> str:
    """The path of the language model's list of blocks: inside some decoders is a vision tower that has one of its own."""
    decoder = model.get_decoder()
    count = model.config.get_text_config().num_hidden_layers
    paths = {id(module): path for path, module in model.named_modules()}
    lists = [each for each in decoder.modules() if isinstance(each, nn.ModuleList) and len(each) == count]
    return min((paths[id(each)] for each in lists), key=lambda path: path.count("."))


def switch_off_dropout(model: nn.Module) -> None:
    """Set every dropout in ``model`` to 0, of a LoRA too.

    Also where a layer has only the number, and drops by a function: TRL's ``disable_dropout`` knows modules alone.
    """
    for module in model.modules():
        for name, value in list(vars(module).items()):
            if isinstance(value, float) and (
                "drop" in name or (name == "p" and isinstance(module, nn.modules.dropout._DropoutNd))
            ):
                setattr(module, name, 0.0)
