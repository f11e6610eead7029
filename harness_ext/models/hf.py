"""The backend for Hugging Face VLMs: any ``AutoModelForMultimodalLM``, batched, on a CPU or a GPU.

Those of lmms-eval answer one request at a time, know no adapters, cannot mix prompts with and without an image, and turn an
error into an empty answer. Here an error is an error, and the questions about one image share one encoding of it.
"""

import math
from collections import defaultdict
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from typing import Any, Final, TypeVar

import torch
from loguru import logger

from harness_ext.common.errors import UserError
from harness_ext.common.failures import failure_reason, mark_failed
from harness_ext.common.provenance import record_provenance
from harness_ext.models.answering import LocalModel, Question
from harness_ext.models.checkpoint import commit_of
from harness_ext.models.conversation import Conversation
from harness_ext.models.decoding import Decoder, Row, options_text
from harness_ext.models.defences.coca import Coca, ContrastingDecoder
from harness_ext.models.defences.steer import Steer, Steering
from harness_ext.models.generation import NOT_FINITE, REQUEST_ERRORS, by_halves, request_seed
from harness_ext.models.likelihood import Candidates
from harness_ext.models.loading import load_model, load_processor
from harness_ext.models.sharing import NotShareable, SharedPrefixes, pays, reason_not_to_share
from harness_ext.models.together import DecoderTogether, checked_plan, end_all, in_all

# Questions about one image that are planned together; more of them (a blank image has hundreds) are more than one plan, so
# that not too many answers wait to be written.
_MOST_TOGETHER: Final = 32
# Sharing is checked on the first image of a run: so many tokens, and a difference of so much that is not rounding.
_STEPS_CHECKED: Final = 3
_QUESTIONS_CHECKED: Final = 4
_LEAST_ALLOWED: Final = 1e-3
_LEAST_ALLOWED_HALF: Final = 2e-2
_NOISE_ALLOWED: Final = 4.0
_MOST_ALLOWED: Final = 0.25
# Batches in a row that could not share before the run stops trying.
_MOST_TRIED: Final = 3

_Item = TypeVar("_Item")


class HuggingFaceVLM(LocalModel):
    """A VLM of transformers behind lmms-eval's ``generate_until``.

    Args:
        pretrained: A hub repository or a folder.
        revision: The commit, tag or branch of the weights.
        adapter: A folder or repository of a PEFT adapter for these weights.
        adapter_base: ``"any"`` to put an adapter on weights it does not name as its base.
        dtype: ``"auto"`` (the checkpoint's), ``"float32"``, ``"bfloat16"`` or ``"float16"``.
        device: ``"cpu"``, ``"cuda"``, ``"cuda:1"``; the GPU of this process if there is one, else the CPU.
        device_map: As in transformers, ``"auto"`` spreads one model over several GPUs; instead of ``device``.
        tp_plan: As in transformers, ``"auto"`` shares one model out among the processes of ``torchrun``; instead of both.
        attn_implementation: As in transformers (``"sdpa"``, ``"flash_attention_2"``, ``"eager"``).
        prompt: A chat template (Jinja) for a processor that has none.
        template_options: What the chat template is given beside the conversation.
        share_prefix: Answer the questions about one image from one encoding of it, where the model allows; by default where
            the numbers of tokens say that it is faster.
        trust_remote_code: Run code from the model's repository; never unless you say so.
        load_in_4bit: Ask it with the language model's linear layers in four bits, by bitsandbytes, as QLoRA trains on them.
        shared: See :class:`AnsweringModel`; a batch is halved where memory does not suffice.

    Raises:
        UserError: The weights, the adapter or an option are not as expected.
    """

    scores_candidates = True
    beams = True
    opens_model = True
    load_processor = staticmethod(load_processor)
    load_model = staticmethod(load_model)

    def __init__(
        self,
        pretrained: str,
        revision: str | None = None,
        adapter: str | None = None,
        adapter_base: str | None = None,
        dtype: str = "auto",
        device: str | None = None,
        device_map: str | None = None,
        attn_implementation: str | None = None,
        prompt: str | None = None,
        template_options: Mapping[str, Any] | None = None,
        share_prefix: bool | None = None,
        trust_remote_code: bool = False,
        load_in_4bit: bool = False,
        tp_plan: str | None = None,
        **shared: Any,
    ) -> None:
        super().__init__(**shared)
        split = ""
        if tp_plan:
            beside = {"device": device, "device_map": device_map, "adapter": adapter, "load_in_4bit": load_in_4bit}
            beside["trust_remote_code"] = trust_remote_code
            split = checked_plan(tp_plan, beside, self._defences.within)
        commit = commit_of(pretrained, revision, "processor")
        processor = self.load_processor(pretrained, commit, trust_remote_code, prompt)
        model = self.load_model(
            pretrained,
            revision=commit,
            adapter=adapter,
            adapter_base=adapter_base,
            dtype=dtype,
            device=device,
            device_map=device_map,
            attn_implementation=attn_implementation,
            trust_remote_code=trust_remote_code,
            load_in_4bit=load_in_4bit,
            tp_plan=tp_plan,
        )
        self._shared_out = bool(split)
        coca = self._defences.of_kind(Coca)
        self._decoder = (
            ContrastingDecoder(coca, model, processor, template_options)
            if coca
            else (DecoderTogether if split else Decoder)(model, processor, template_options)
        )
        if name := self._defences.drops_image:
            require_words(self._decoder.encode, name, pretrained, self._decoder.needs_image)
        self._asker = Asker(self._decoder, batch_size=self.batch_size, seed=self._seed, share_prefix=share_prefix)
        rests_on = {
            "attention": str(model.config._attn_implementation),
            "share_prefix": str(self._asker.shares and share_prefix is not False),
            # Some of them reach the processor, and change what an image becomes without changing the rendered prompt.
            "template_options": options_text(template_options),
            **({"load_in_4bit": "True"} if load_in_4bit else {}),
            **({"tp_plan": split} if split else {}),
        }
        if load_in_4bit:
            record_provenance(load_in_4bit=True)
        self.loaded(model, pretrained, commit, adapter, rests_on)
        self._steering: Steering | None = None
        if steer := self._defences.of_kind(Steer):
            self._steering = Steering(steer, self._decoder, self.identity(), self.batch_size)
            # Its layer and its direction are known only now.
            self._tell_defences()

    def render(self, turns: Conversation) -> str:
        """The prompt as text, by the chat template."""
        return self._decoder.render(turns)

    def put_template_options(self, options: Mapping[str, Any]) -> None:
        """As :class:`AnsweringModel` says."""
        self._identity = {**self._identity, "template_options": self._decoder.put_options(options)}

    def clean(self) -> None:
        """Let the model go; called by the harness after the last answer."""
        del self._decoder, self._asker, self._steering
        super().clean()

    def plan(self, questions: Sequence[Question]) -> list[list[Question]]:
        """Questions about one image together, images together up to the batch size; the rest by length, longest first."""
        about_images = grouped([each for each in questions if each.images], lambda question: question.images)
        parts = [part for group in about_images for part in _pieces(group, max(self.batch_size, _MOST_TOGETHER))]
        self._asker.choose(parts, self.conversation)
        batches: list[list[Question]] = [[]]
        for part in parts if self._asker.shares else []:
            if batches[-1] and len(batches[-1]) + len(part) > self.batch_size:
                batches.append([])
            batches[-1].extend(part)
        alone = [question for question in questions if not (self._asker.shares and question.images)]
        # Few processors take prompts with an image and prompts without at once.
        for group in grouped(alone, lambda question: (question.settings, bool(question.images))):
            group.sort(key=lambda question: -len(question.prompt))
            batches.extend(_pieces(group, self.batch_size))
        return [batch for batch in batches if batch]

    def answer(self, batches: Sequence[list[Question]]) -> Iterator[tuple[list[Question], list[str]]]:
        """Answer batch after batch; the halves of one that fails are tried, down to the one question that fails."""
        for batch in batches:
            yield batch, by_halves(self._ask, batch)

    def _ask(self, batch: Sequence[Question]) -> list[str]:
        def read() -> list[Conversation]:
            return [self.conversation(question) for question in batch]

        conversations = in_all(read) if self._shared_out else read()
        # A batch is about images, or none of it is.
        steered = self._steering.at_work() if self._steering and batch[0].images else nullcontext()
        with steered:
            try:
                return self._asker.ask(batch, conversations)
            except RuntimeError as error:
                if self._shared_out:
                    end_all(error)
                raise


class Asker:
    """Asks a model ``batch_size`` rows at a time, and knows whether it may share.

    Attributes:
        shares: Whether the questions about one image are answered from one encoding; turned off, with a warning, if not.
    """

    def __init__(self, decoder: Decoder, *, batch_size: int, seed: int, share_prefix: bool | None) -> None:
        self._decoder, self._batch_size, self._seed = decoder, batch_size, seed
        self._chooses = share_prefix is None
        self._told: set[str] = set()
        self._checked: set[tuple[str, int]] = set()
        self._unshared = 0
        self.shares = share_prefix is not False
        record_provenance(prefix_sharing="on" if self.shares else "off: share_prefix=False")
        if self.shares and (reason := reason_not_to_share(decoder)):
            self._do_not_share(reason)

    def choose(self, parts: Sequence[Sequence[Question]], conversation: Callable[[Question], Conversation]) -> None:
        """Turn sharing off, in a line of the log, where it would not be faster to answer each of ``parts`` from one encoding.

        ``parts`` are all questions of a run about images. Nothing changes where ``share_prefix`` was given.
        """
        if not self._chooses:
            return
        self.shares = True
        several = [part for part in parts if len(part) > 1]
        # The prompts of one image stand for all: of one in the middle, where no single blank image is. A group that cannot
        # be read or shared says nothing of others.
        for part in several[len(several) // 2 :][:_MOST_TRIED]:
            try:
                group = [conversation(question) for question in part[: self._batch_size + 1]]
                shares, arithmetic = pays(self._decoder, group, sum(map(len, parts)), len(parts))
            except (NotShareable, *REQUEST_ERRORS):
                continue
            self.shares = shares
            record_provenance(prefix_sharing="on" if shares else f"off: {arithmetic}")
            way = "share one encoding of it" if shares else "are asked in plain batches"
            logger.info(f"the questions about an image {way}: {arithmetic} (share_prefix={not shares} overrules it)")
            return

    def ask(self, batch: Sequence[Question], conversations: Sequence[Conversation]) -> list[str]:
        """The answers to a batch, in which the questions about one image stand together.

        Raises one of ``REQUEST_ERRORS`` where one of them cannot be answered.
        """
        sets = {question.images for question in batch}
        prefixes = None
        if self.shares and len(sets) < len(batch) and () not in sets:
            prefixes = self._share(batch, conversations)
        answers: dict[int, str] = {}
        places = {question.index: at for at, question in enumerate(batch)}
        for group in grouped(batch, lambda question: question.settings):
            chosen = [places[question.index] for question in group]
            answers.update(self._one_setting(batch, chosen, conversations, prefixes))
        return [answers[at] for at in range(len(batch))]

    def _one_setting(
        self,
        batch: Sequence[Question],
        chosen: Sequence[int],
        conversations: Sequence[Conversation],
        prefixes: SharedPrefixes | None,
    ) -> Iterator[tuple[int, str]]:
        """The answers to the questions at ``chosen``, which share their settings, by place."""
        settings = batch[chosen[0]].settings
        candidates: dict[int, Candidates] = {}
        if settings.likelihood:
            tokenizer = self._decoder.processor.tokenizer
            candidates = {at: Candidates.tokenise(batch[at].candidates, tokenizer) for at in chosen}
            rows = {at: [Row(at, forced=tokens) for tokens in of_one.forced()] for at, of_one in candidates.items()}
        else:
            rows = {at: [Row(at, seed=request_seed(self._seed, *batch[at].sampling))] for at in chosen}
        forced = max(len(row.forced) for of_one in rows.values() for row in of_one)
        new_tokens = max(1, forced) if settings.likelihood else settings.max_new_tokens
        if prefixes and settings.num_beams == 1 and prefixes.fits(chosen, new_tokens):
            chunks = list(prefixes.chunks(chosen, self._batch_size, new_tokens))
        else:
            prefixes = None
            chunks = _pieces(chosen, self._batch_size)
        for chunk in chunks:
            asked = [row for at in chunk for row in rows[at]]
            places = [row.question for row in asked]
            if prefixes:
                inputs = prefixes.inputs(places, new_tokens)
            else:
                inputs = self._decoder.encode([conversations[at] for at in places])
            tokens, scores, failed = self._decoder.proceed(inputs, asked, settings)
            if not settings.likelihood:
                texts = self._decoder.text(tokens, settings)
                answers = [mark_failed(NOT_FINITE) if bad else text for text, bad in zip(texts, failed, strict=True)]
                yield from zip(chunk, answers, strict=True)
                continue
            for at in chunk:
                own = [place for place, row in enumerate(asked) if row.question == at]
                try:
                    answer = candidates[at].score(
                        [asked[place].forced for place in own], [step[own] for step in scores]
                    )
                except ValueError as error:
                    answer = mark_failed(failure_reason(error))
                yield at, answer

    def _share(self, batch: Sequence[Question], conversations: Sequence[Conversation]) -> SharedPrefixes | None:
        """The shared prefixes of a batch whose questions about one image stand together; ``None`` if they cannot be."""
        groups = grouped(list(enumerate(batch)), lambda numbered: numbered[1].images)
        try:
            prefixes = SharedPrefixes(self._decoder, [[conversations[at] for at, _ in group] for group in groups])
            # For every task, because a task says where the image stands in its prompts, and for every pass of a defence.
            for kind in {_kind(question) for question in batch} - self._checked:
                of_kind = [[at for at, question in group if _kind(question) == kind] for group in groups]
                self._check(prefixes, conversations, max(of_kind, key=len)[:_QUESTIONS_CHECKED])
                self._checked.add(kind)
        except torch.OutOfMemoryError:
            raise
        except (NotShareable, *REQUEST_ERRORS) as error:
            # Other prompts may well share, unless none ever did.
            reason = str(error) if isinstance(error, NotShareable) else failure_reason(error)
            self._unshared += 1
            if not self._checked and self._unshared == _MOST_TRIED:
                self._do_not_share(reason)
            self._tell_once(f"the questions of some images are not answered from one encoding: {reason}")
            return None
        return prefixes if self.shares else None

    def _check(self, prefixes: SharedPrefixes, conversations: Sequence[Conversation], places: Sequence[int]) -> None:
        """Turn sharing off, with a warning, if the first answers' distributions are not those of asking without it.

        They may differ a few times as much as a batch differs from asking alone, in the precision of the run.
        Raises one of ``REQUEST_ERRORS`` where the prompts cannot be asked.
        """
        noises: list[float] = []
        differences: list[float] = []
        # In the chunks that may be padded together, as they will be asked.
        for chunk in prefixes.chunks(places, len(places), _STEPS_CHECKED):
            turns = [conversations[at] for at in chunk]
            shared = self._decoder.first_scores(prefixes.inputs(chunk, _STEPS_CHECKED), _STEPS_CHECKED)
            batched = self._decoder.first_scores(self._decoder.encode(turns), _STEPS_CHECKED)
            alone = [self._decoder.first_scores(self._decoder.encode([one]), _STEPS_CHECKED) for one in turns]
            by_itself = torch.cat([tokens for tokens, _ in alone]), torch.cat([scores for _, scores in alone])
            if not by_itself[1].isfinite().all():
                # Nothing that sharing could be compared to; another image's prompts may have it.
                raise ValueError(NOT_FINITE)
            noises.append(_difference(batched, by_itself))
            differences.append(min(_difference(shared, batched), _difference(shared, by_itself)))
        noise, difference = max(noises), max(differences, key=lambda value: math.inf if math.isnan(value) else value)
        least = _LEAST_ALLOWED if self._decoder.model.dtype == torch.float32 else _LEAST_ALLOWED_HALF
        # Not "greater than": NaN counts as a difference.
        if not difference <= min(least + _NOISE_ALLOWED * noise, _MOST_ALLOWED):
            self._do_not_share(
                f"its next token's distribution differs by {difference:.2g} (total variation) from asking without it, "
                f"where batching alone changes it by {noise:.2g}"
            )

    def _do_not_share(self, reason: str) -> None:
        self.shares = self._chooses = False
        record_provenance(prefix_sharing=f"off: {reason}")
        self._tell_once(f"every question is answered from its own encoding of its image: {reason}")

    def _tell_once(self, message: str) -> None:
        if message not in self._told:
            self._told.add(message)
            logger.warning(message)


def require_words(
    read: Callable[[list[Conversation]], object], defence: str, pretrained: str, needs_image: bool = False
) -> None:
    """Raise ``UserError`` where a model cannot be asked without an image, as a defence asks.

    Args:
        read: Makes a model's inputs of prompts; raises one of ``REQUEST_ERRORS`` where it cannot.
        defence: Its name.
        pretrained: The model.
        needs_image: Whether the model answers about an image only, whatever ``read`` makes of words.
    """
    try:
        read([[{"role": "user", "content": [{"type": "text", "text": "Is it safe?"}]}]])
        reason = "it answers about an image only" if needs_image else ""
    except REQUEST_ERRORS as error:
        reason = failure_reason(error)
    if reason:
        raise UserError(
            f"defence {defence}: asks a question about an image without the image, which {pretrained!r} does not take "
            f"({reason}). Take a defence that keeps it, such as name-then-judge"
        )


def _kind(question: Question) -> tuple[str, int]:
    return question.task, len(question.earlier)


def _pieces(items: Sequence[_Item], most: int) -> list[list[_Item]]:
    return [list(items[start : start + most]) for start in range(0, len(items), most)]


def grouped(items: Sequence[_Item], key: Callable[[_Item], Hashable]) -> list[list[_Item]]:
    """``items`` by ``key``, in the order of first appearance."""
    groups: dict[Hashable, list[_Item]] = defaultdict(list)
    for item in items:
        groups[key(item)].append(item)
    return list(groups.values())


def _difference(one: tuple[torch.Tensor, torch.Tensor], other: tuple[torch.Tensor, torch.Tensor]) -> float:
    """The largest total variation between distributions, (B, T) tokens and (B, T, V) each, as long as the tokens agree."""
    (tokens, scores), (other_tokens, other_scores) = one, other
    distance = (scores - other_scores).abs().sum(-1) / 2
    same = (tokens == other_tokens).long().cumprod(1)
    comparable = torch.cat([torch.ones_like(same[:, :1]), same[:, :-1]], 1).bool()
    return float(distance[comparable].max())
