"""Answering the harness's requests: what every backend of this project shares.

A request becomes a :class:`Question`. Answers that are kept on disk are read from there; the remaining questions are planned
into batches and asked, and each answer is on disk when it is given. A defence may ask in several passes: first all questions
are asked the first thing, then all the next, and what a model says on the way is kept as answers are. A request that fails is
recorded as ``failed``, never as an answer, and more than a few failures end the run.
"""

import importlib.metadata
import os
from abc import abstractmethod
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from functools import partial
from itertools import chain
from typing import Annotated, Any, ClassVar, Final, TypeVar

import torch
from lmms_eval.api.instance import Instance
from lmms_eval.api.model import lmms
from loguru import logger
from pydantic import Field
from tqdm import tqdm
from transformers import PreTrainedModel

from harness_ext import __version__
from harness_ext.common.errors import UserError
from harness_ext.common.failures import (
    CONTENT_FILTER,
    Failed,
    failure_reason,
    from_outside,
    is_failed,
    mark_failed,
    note_at_limit,
    reason_of,
)
from harness_ext.common.options import checked
from harness_ext.common.provenance import forget_model, record_provenance
from harness_ext.common.thoughts import after_thoughts
from harness_ext.models.checkpoint import record_model
from harness_ext.models.conversation import Conversation, conversation, image_digest, images_of
from harness_ext.models.defences.registry import open_defences
from harness_ext.models.generation import REQUEST_ERRORS
from harness_ext.models.noise import drawn_by
from harness_ext.models.sanity import unlikely
from harness_ext.models.settings import Count, Generated, GenerationSettings, Share
from harness_ext.models.store import AnswerStore, answer_key, answers_folder
from harness_ext.models.together import gathered, of_first, require_same

# Raise it when answers of the same weights to the same prompt change because the code that asks has changed.
_ANSWERS_VERSION: Final = "2"

_T = TypeVar("_T")

# How warnings call what is said in a pass before the last; its tokens are an option of the defence.
_ON_THE_WAY: Final = "asked by its defence on the way (option tokens)"


class TooManyFailures(UserError):
    """More requests failed than the run may bear."""


_THINKS_FIRST: Final = (
    "{}: the model's chat template opens a thought before the answer, where the likelihood of a verdict says nothing of the "
    "verdict. Ask the tasks that generate, or turn thinking off in the template."
)


@dataclass(frozen=True)
class Question:
    """One request of the harness.

    Attributes:
        index: Its place among the harness's requests.
        instance: The harness's request.
        task: The task's name.
        row: The row of the task's data set.
        settings: How the answer is generated, or scored.
        candidates: For scoring by likelihood, the forms by label that an answer may begin with; else empty.
        prompt: The rendered prompt.
        images: A digest of each image's pixels, in the prompt's order.
        repeat: How many requests before it, of its task, ask the same of the same images.
        key: What its answer is kept under.
        of: A digest of the question as the harness asks it, where a defence asks something else in its place.
        earlier: The answers to the passes of a defence before this one.
        last: Whether its answer is the one that the harness is given.
        failure: Why it cannot be asked at all (an unreadable image); empty otherwise.
    """

    index: int
    instance: Instance
    task: str
    row: int
    settings: GenerationSettings
    candidates: Mapping[str, tuple[str, ...]]
    prompt: str = ""
    images: tuple[str, ...] = ()
    repeat: int = 0
    key: str = ""
    of: str = ""
    earlier: tuple[str, ...] = ()
    last: bool = True
    failure: str = ""

    @property
    def sampling(self) -> tuple[object, ...]:
        """What a sampled answer rests on beside the seed; not the row's number, which depends on the number of processes."""
        return self.task, self.prompt, self.images, self.repeat, *([self.of] if self.of else [])


class AnsweringModel(lmms):
    """What lmms-eval calls; a backend says how a prompt is rendered, how questions are batched, and answers the batches.

    Args:
        batch_size: Questions answered at a time.
        max_batch_size: Given by lmms-eval, without effect here.
        max_failed: The share of a process's requests that may fail before the run does. Those that a service's content filter
            refused are not counted.
        seed: The seed of sampling; lmms-eval's ``--seed`` (its torch seed) by default.
        generation: Defaults under the settings that a task names, see :class:`GenerationSettings`.
        answers: The folder where answers are kept, ``"none"`` to keep none; the cache folder by default.
        defence: How questions are asked so that an image is judged as words are, see ``models/defences/registry.py``.

    Raises:
        UserError: An option is not as expected.
    """

    is_simple = False
    # Whether it scores candidates, and searches with beams, where a task asks for it.
    scores_candidates: ClassVar[bool] = False
    beams: ClassVar[bool] = False
    # What a sampled answer depends on beside its seed.
    _noise: tuple[str, ...] = ()
    # Whether a defence may act within its model.
    opens_model: ClassVar[bool] = False
    # Whether the chat template is a server's, so that what it makes of a prompt is not seen here.
    template_is_elsewhere: ClassVar[bool] = False
    # Whether all processes of the run have one model together, see ``together.py``.
    _shared_out = False

    @checked
    def __init__(
        self,
        *,
        # lmms-eval passes it as the user wrote it.
        batch_size: Annotated[Count, Field(strict=False)] = 1,
        max_batch_size: Any = None,
        max_failed: Share = 0.001,
        seed: int | None = None,
        generation: Mapping[str, Any] | None = None,
        answers: str | None = None,
        defence: str | None = None,
    ) -> None:
        super().__init__()
        forget_model()
        self.batch_size = batch_size
        self._max_failed = max_failed
        self._seed = torch.initial_seed() if seed is None else seed
        self._generation = dict(generation or {})
        GenerationSettings.from_task(self._generation)
        self._answers_folder = answers_folder(answers)
        self._defences = open_defences(defence)
        if (within := self._defences.within) and not self.opens_model:
            raise UserError(
                f"defence {within}: acts within the model, which this backend does not open; take weights of your own "
                "(--model hf-vlm)"
            )
        self._tell_defences()

    @abstractmethod
    def identity(self) -> Mapping[str, str]:
        """What answers rest on beside the question: weights, adapter, precision, versions."""

    @abstractmethod
    def render(self, turns: Conversation) -> str:
        """The prompt as the model is given it, images left out. Raises one of ``REQUEST_ERRORS`` where it cannot be."""

    def candidates(self, row: Mapping[str, Any]) -> dict[str, tuple[str, ...]]:
        """By label, the forms that an answer to a task's row may begin with. Raises ``UserError`` where it names none."""
        return _candidates(row)

    def put_template_options(self, options: Mapping[str, Any]) -> None:
        """Give the chat template ``options`` beside its own from here on. Raises ``UserError`` where that cannot be done."""
        if options:
            raise UserError(
                f"this backend gives its chat template nothing beside the conversation; found {list(options)}"
            )

    def own_rules(self) -> Mapping[str, str]:
        """The rules that the model's processor holds, by name. Raises ``UserError`` where there are none."""
        raise UserError("this backend knows of no rules of a processor: choose the name of a guard that has them")

    def require_possible(self, settings: GenerationSettings) -> None:
        """Raise ``UserError`` where a task asks for what this backend does not do."""
        if settings.likelihood and not self.scores_candidates:
            raise UserError(
                "this backend gives answers, not the scores behind them: take tasks without '_likelihood' in their names, "
                "or weights of your own (--model hf-vlm)"
            )
        if settings.num_beams > 1 and not self.beams:
            raise UserError(f"this backend has no beam search: leave out num_beams={settings.num_beams}")
        self._defences.require_possible(settings)

    def _tell_defences(self) -> None:
        if self._defences:
            record_provenance(defence=self._defences.told(), passes=self._defences.passes)

    def plan(self, questions: Sequence[Question]) -> list[list[Question]]:
        """Batches, here of one; they depend on nothing but ``questions``: a resumed run makes the same ones."""
        return [[question] for question in questions]

    @abstractmethod
    def answer(self, batches: Sequence[list[Question]]) -> Iterator[tuple[list[Question], list[str]]]:
        """Answer ``batches``, in any order; a request that failed is marked by ``harness_ext.common.failures.mark_failed``.

        A backend that knows how an answer ended gives a :class:`harness_ext.models.settings.Generated` one.
        """

    def generate_until(self, requests: list[Instance]) -> list[str]:
        """Answer ``requests``, in their order; a failed one is marked by :func:`harness_ext.common.failures.mark_failed`.

        Raises:
            TooManyFailures: More than ``max_failed`` of the requests failed.
        """
        own = range(len(requests))
        if self._shared_out:
            requests, own = gathered(requests)
        asked = self._asked(requests)
        waiting = self._read(asked)
        answers: dict[int, str] = {}
        failures = _Failures(len(requests), self._max_failed)
        bar = tqdm(total=len(requests), desc="Model Responding", disable=self.rank != 0)
        identity = {**self.identity(), **self._defences.identity()}
        with AnswerStore(self._answers_folder, identity) as store, bar:
            while waiting:
                given = self._one_pass(waiting, store, failures, bar)
                _tell_unlikely(waiting, given)
                over = [each for each in waiting if each.last or is_failed(given[each.index])]
                answers |= {each.index: given[each.index] for each in over}
                waiting = self._read(
                    replace(asked[each.index], earlier=(*each.earlier, given[each.index]), repeat=each.repeat)
                    for each in waiting
                    if each.index not in answers
                )
                bar.total = (bar.total or 0) + len(waiting)
        failures.tell()
        assert len(answers) == len(requests), "a request was neither answered nor recorded as failed"
        for answer in answers.values():
            if isinstance(answer, Generated) and answer.cut_short:
                note_at_limit(answer)
        return [str(answers[index]) for index in own]

    def generate_until_multi_round(self, requests: list[Instance]) -> list[str]:
        """Not part of these backends."""
        raise NotImplementedError("this backend answers single-turn tasks only")

    def loglikelihood(self, requests: list[Instance]) -> list[tuple[float, bool]]:
        """Not part of these backends; tasks named ``..._likelihood`` are scored through ``generate_until``."""
        raise NotImplementedError("this backend answers generation tasks only")

    def _one_pass(
        self, questions: Sequence[Question], store: AnswerStore, failures: "_Failures", bar: tqdm
    ) -> dict[int, str]:
        """What is said to each of ``questions``, by its index; new answers are in ``store``."""
        answers: dict[int, str] = {}
        # What a defence asks several questions alike is asked once; the harness's own questions are each asked.
        alike: dict[object, list[Question]] = defaultdict(list)
        for question in questions:
            alike[self._likeness(question)].append(question)

        def give(question: Question, answer: str) -> None:
            for each in alike[self._likeness(question)]:
                answers[each.index] = answer
                if is_failed(answer) and (reason := reason_of(answer)) != CONTENT_FILTER:
                    failures.add(each, reason)
                bar.update()

        for question in questions:
            if question.failure:
                give(question, mark_failed(question.failure))
        # A batch is planned with its kept answers too, so that only its new questions are missing.
        batches = self.plan([first for first, *_ in alike.values() if not first.failure])
        kept = self._by_first(
            lambda: {at.index: _checked(answer) for at in chain(*batches) if (answer := store.get(at.key)) is not None}
        )
        for question in chain(*batches):
            if question.index in kept:
                give(question, kept[question.index])
        if before := sum(each.key in store.before for each in questions):
            logger.info(
                f"{before} of {len(questions)} answers were given before and are read from {store.folder} "
                "(--model_args answers=none asks again)"
            )
        waiting = [[question for question in batch if question.index not in kept] for batch in batches]
        for batch, given in self.answer([batch for batch in waiting if batch]):
            taken = self._by_first(partial(_kept, store, batch, given))
            for question, answer in zip(batch, taken, strict=True):
                give(question, answer)
        return answers

    def _by_first(self, work: Callable[[], _T]) -> _T:
        return of_first(work) if self._shared_out else work()

    def _likeness(self, question: Question) -> object:
        return question.key if self._defences and not question.failure else question.index

    def conversation(self, question: Question) -> Conversation:
        """The conversation of a question, its images read anew. Raises one of ``REQUEST_ERRORS`` where they cannot be."""
        return self._defences.after(self._without_defence(question), question.earlier).turns

    def _without_defence(self, question: Question) -> Conversation:
        _, to_messages, _, row, task, split = question.instance.args
        return conversation(to_messages(self.task_dict[task][split][row]))

    def _asked(self, requests: Sequence[Instance]) -> list[Question]:
        """Every request as a question that is not read yet. Raises ``UserError`` where one is not possible."""
        unread = []
        for index, instance in enumerate(requests):
            _, _, options, row, task, split = instance.args
            settings = GenerationSettings.from_task({**self._generation, **options})
            self.require_possible(settings)
            candidates = self.candidates(self.task_dict[task][split][row]) if settings.likelihood else {}
            unread.append(Question(index, instance, task, row, settings, candidates))
        return unread

    def _read(self, asked: Iterable[Question]) -> list[Question]:
        """What the next pass asks of each of ``asked``; images are decoded, in threads, and let go."""
        unread = list(asked)
        with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as threads:
            read = threads.map(self._with_prompt, unread)
            questions = list(tqdm(read, total=len(unread), desc="Reading prompts", disable=self.rank != 0))
        seen: Counter[tuple[object, ...]] = Counter()
        for at, question in enumerate(questions):
            same = question.task, question.of or _digest_of(question.prompt, question.images)
            numbered = question if question.earlier else replace(question, repeat=seen[same])
            questions[at] = replace(numbered, key=self._key(numbered))
            seen[same] += 1
            if question.candidates and not question.failure and after_thoughts(question.prompt)[0] is None:
                raise UserError(_THINKS_FIRST.format(question.task))
        if self._shared_out:
            require_same([(question.key, question.failure) for question in questions], "prompts")
        return questions

    def _with_prompt(self, question: Question) -> Question:
        try:
            asked = self._without_defence(question)
            following = self._defences.after(asked, question.earlier)
            digests = {id(image): image_digest(image) for image in images_of(asked)}
            images = tuple(digests[id(image)] for image in images_of(following.turns))
            question = replace(question, prompt=self.render(following.turns), images=images, last=following.last)
            if following.turns is not asked:
                of = _digest_of(self.render(asked), [digests[id(image)] for image in images_of(asked)])
                question = replace(question, of=of)
            if following.max_new_tokens is None:
                return question
            return replace(question, settings=question.settings.free_text(following.max_new_tokens), candidates={})
        except REQUEST_ERRORS as error:
            return replace(question, failure=failure_reason(error))

    def _key(self, question: Question) -> str:
        """What identifies an answer of this model; only a sampled one depends on the seed and on which request it is."""
        parts: list[Any] = [question.prompt, question.images, asdict(question.settings), dict(question.candidates)]
        if question.settings.do_sample:
            parts += [self._seed, question.sampling, *self._noise]
        return answer_key(_ANSWERS_VERSION, *parts)


class LocalModel(AnsweringModel):
    """A backend whose model runs in this process; it calls :meth:`loaded` once its model can be asked."""

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
        self._noise = drawn_by(model.device)
        self.identified(pretrained, commit, adapter, model.dtype, model.device, rests_on)

    def identified(
        self,
        pretrained: str,
        commit: str | None,
        adapter: str | None,
        dtype: torch.dtype,
        device: torch.device,
        rests_on: Mapping[str, str],
    ) -> None:
        """As :meth:`loaded`, where another engine has the model: its precision and its device by themselves."""
        # The harness deletes every module of this object once generation is over, and asks for the device after that.
        self._device = device
        self._identity = {
            **record_model(pretrained, commit, adapter, dtype),
            "dtype": str(dtype),
            "device": device.type,
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


class _Failures:
    """The failed requests of a run, and when they are too many."""

    def __init__(self, requests: int, allowed: float) -> None:
        self._requests, self._allowed, self._told = requests, allowed, list[str]()

    def add(self, question: Question, reason: str) -> None:
        """Raises ``TooManyFailures`` where this one is one too many."""
        self._told.append(f"task {question.task}, row {question.row}, repeat {question.repeat}: {reason}")
        if len(self._told) > self._allowed * self._requests:
            raise TooManyFailures(
                f"{len(self._told)} of {self._requests} requests failed, more than max_failed={self._allowed:g} allows; "
                f"the first: {self._told[0]}"
            )

    def tell(self) -> None:
        if self._told:
            logger.warning(f"{len(self._told)} of {self._requests} requests failed, recorded so: {self._told[0]}, …")


def _tell_unlikely(questions: Iterable[Question], answers: Mapping[int, str]) -> None:
    by_task: dict[tuple[str, int], list[Question]] = defaultdict(list)
    for question in questions:
        if not question.settings.likelihood and not is_failed(answers[question.index]):
            called = question.task if question.last else f"{question.task}, {_ON_THE_WAY}"
            by_task[called, question.settings.max_new_tokens].append(question)
    for (task, most), asked in by_task.items():
        different = len({(question.prompt, question.images) for question in asked})
        for line in unlikely([answers[question.index] for question in asked], different, most):
            logger.warning(f"{task}: {line}")


def _kept(store: AnswerStore, batch: Sequence[Question], given: Sequence[str]) -> list[str]:
    """The answers that were ``given``, checked, and on disk but for failures."""
    taken = [_checked(answer) for answer in given]
    store.add(
        (question.key, answer, {"task": question.task, "row": question.row})
        for question, answer in zip(batch, taken, strict=True)
        if not is_failed(answer)
    )
    return taken


def _checked(answer: str) -> str:
    """What a backend gave, or a file: no text but a failure that was marked by this process is taken for one."""
    if isinstance(answer, Failed):
        return answer
    text = from_outside(answer)
    return Generated(text, answer.cut_short) if isinstance(answer, Generated) else text


def _digest_of(prompt: str, images: Sequence[str]) -> str:
    return answer_key(prompt, list(images))


def _candidates(row: Mapping[str, Any]) -> dict[str, tuple[str, ...]]:
    if not isinstance(named := row.get("candidates"), Mapping) or len(named) < 2:
        raise UserError(
            "scoring by likelihood needs a column 'candidates' in the task's rows: a mapping from two labels or more to "
            f"the forms an answer may begin with; found {named!r}"
        )
    return {label: tuple(forms) for label, forms in named.items()}
