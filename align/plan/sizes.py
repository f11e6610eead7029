"""What a plan is made from: the model's configuration and the lengths of the rows, without weights and without images."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from PIL import Image
from transformers import AutoConfig, PretrainedConfig, ProcessorMixin
from transformers.models.auto.configuration_auto import CONFIG_MAPPING

from align.data import target
from align.plan.phases import Rows
from align.rendering import asked_inputs
from align.settings import OF_ORIGINAL, WITH_ROLLOUTS, ModelConfig, RunSettings
from harness_ext.benchmark.questions import LETTERS, perception_question
from harness_ext.common.errors import UserError
from harness_ext.common.reading import read_json
from harness_ext.glyphworld.model import build_model, build_processor
from harness_ext.models.catalogue import load_catalogue
from harness_ext.models.checkpoint import locate, read_by_libraries
from harness_ext.models.loading import load_processor
from harness_ext.models.names import GLYPHWORLD
from harness_ext.registry import benchmark_named

# Families whose tower takes `pixel_values` of one shape, which the configuration says.
_ONE_SHAPE: Final = ("llava", "paligemma", "vipllava")
# In pixels; of an image whose number of tokens depends on its size.
_IMAGE: Final = (640, 480)


@dataclass(frozen=True)
class Found:
    """The shapes of a model; its processor, where it is at hand, with its chat template's options; what to know of both."""

    config: PretrainedConfig
    processor: ProcessorMixin | None
    notes: tuple[str, ...] = ()
    options: Mapping[str, Any] = field(default_factory=dict)


def find_shapes(model: ModelConfig, file: Path | None) -> Found:
    """The configuration of the model that ``model`` names, or the one in ``file``, a ``config.json`` or a folder with one.

    Raises ``UserError`` where it cannot be had.
    """
    if file is not None:
        folder = file if file.is_dir() else file.parent
        config = _read(file / "config.json" if file.is_dir() else file)
        has_processor = (folder / "tokenizer_config.json").is_file()
        processor = load_processor(str(folder), None, False) if has_processor else None
        return Found(config, processor, (f"shapes of {file}",))
    entry = load_catalogue().get(model.model)
    if entry is not None and entry.weights and entry.weights.startswith(GLYPHWORLD):
        processor = build_processor()
        return Found(build_model(processor).config, processor)
    weights = entry.weights if entry is not None and entry.weights else model.model
    revision = model.model_revision or (entry.revision if entry is not None else None)
    try:
        folder = locate(weights, revision, "weights")
    except UserError as error:
        raise UserError(
            f"{error}\nOr name its shapes: --model_config FILE, the config.json of a model of the same architecture and sizes"
        ) from error
    config = _read(folder / "config.json")
    prompt, options = (entry.prompt, entry.template_options) if entry is not None else (None, {})
    try:
        return Found(config, load_processor(weights, revision, False, prompt), options=options)
    except UserError as error:
        return Found(config, None, (f"without its processor: {str(error).splitlines()[0]}",))


def _read(file: Path) -> PretrainedConfig:
    found = read_json(file, last_wins=True)
    kind = found.get("model_type")
    if kind not in CONFIG_MAPPING:
        raise UserError(f"{file}: expected the config.json of a model of transformers, found model_type {kind!r}")
    with read_by_libraries(f"cannot read {file}: "):
        return AutoConfig.for_model(**found)


def sizes(settings: RunSettings, found: Found, prompt: int | None, answer: int | None) -> tuple[Rows, tuple[str, ...]]:
    """The batches of a run with the longest rows that it can have, and how their lengths were found.

    ``prompt`` and ``answer`` are lengths in tokens that are known, a prompt's with its image. Raises ``UserError`` where a
    length can neither be counted nor is given.
    """
    args, config, notes = settings.arguments, found.config, []
    has_rollouts = settings.method in WITH_ROLLOUTS
    processor = found.processor or build_processor()
    by = "" if found.processor else ", its text counted by glyph-vlm's tokenizer"
    questions, answers = _texts(settings)
    shown = settings.data.modality == "image"
    if prompt is None:
        prompt, image = _longest_prompt(found, processor, questions, shown)
        notes.append(f"longest prompt: {prompt} tokens, {image} of them the image's{by}")
    if has_rollouts:
        answer = args.max_completion_length
    elif answer is None:
        answer = max(
            len(processor.tokenizer(f" {each}", add_special_tokens=False)["input_ids"]) + 1 for each in answers
        )
        answer = max(answer, settings.data.own_tokens if settings.data.targets in OF_ORIGINAL else 0)
        notes.append(f"longest answer: {answer} tokens{by}")
    pixels: tuple[int, ...] | None = None
    if not shown:
        notes.append("rows in words: the vision tower is counted by its weights, for nothing passes through it")
    elif config.model_type in _ONE_SHAPE:
        side = config.vision_config.image_size
        pixels = (config.vision_config.num_channels, side, side)
    else:
        notes.append(f"the vision tower of {config.model_type} is counted by its weights, without its activations")
    micro = args.per_device_train_batch_size * (2 if settings.method == "dpo" else 1)
    rollout = args.generation_batch_size // args.world_size if has_rollouts else 0
    return Rows(micro, rollout, prompt, answer, pixels), tuple(notes)


def _longest_prompt(found: Found, processor: ProcessorMixin, questions: list[str], is_shown: bool) -> tuple[int, int]:
    """The tokens of the longest prompt, and those of its image among them, none where it is not ``is_shown``."""
    image = Image.new("RGB", _IMAGE) if is_shown else None
    asked = [asked_inputs(processor, each, image, found.options)["input_ids"][0] for each in questions]
    longest = max(asked, key=len)
    if not is_shown:
        return len(longest), 0
    shown = int((longest == processor.tokenizer.convert_tokens_to_ids(processor.image_token)).sum())
    if found.processor is not None:
        return len(longest), shown
    of_image = getattr(found.config, "image_seq_length", None)
    if of_image is None:
        raise UserError(
            f"how many tokens {found.config.model_type} has for an image cannot be told from its configuration alone: say "
            "--prompt_tokens N, those of the longest prompt with its image"
        )
    return len(longest) - shown + of_image, of_image


def _texts(settings: RunSettings) -> tuple[list[str], set[str]]:
    """What may be asked, and the answers that may be written."""
    data, benchmark = settings.data, benchmark_named(settings.data.source)
    concepts = sorted((each.name for each in benchmark.concepts), key=len)
    asked = [(benchmark.put(each.image), each.yes) for each in benchmark.questions]
    answers = {
        target(question, concept, safe, data, yes)
        for question, yes in asked
        for concept in concepts
        for safe in (True, False)
    }
    questions = [question for question, _ in asked]
    if data.modality == "text":
        questions = [benchmark.put(each.about(concepts[-1])) for each in benchmark.questions]
    if data.anchor is not None:
        questions += [benchmark.put(each.question) for each in benchmark.capabilities]
        questions.append(benchmark.put(perception_question(dict(zip(LETTERS, concepts[-4:], strict=True)))))
    return questions, answers
