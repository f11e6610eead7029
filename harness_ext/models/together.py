"""One model in all processes of a run, its weights shared out by transformers (``tp_plan``, tensor parallel).

Every process must then answer every question, in one order: the processes compute each token together. The harness deals
questions out to them; here they are put together again, and each process hands the answers to its own back, so that the
harness gathers, scores and writes as ever. Wherever processes could go different ways (what is kept on disk, the scores that
a token is chosen from), those of the first one count: processes that did would wait for each other for hours.
"""

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final, NoReturn, TypeVar, cast

import torch
from lmms_eval.api.instance import Instance
from torch import distributed
from transformers import AutoConfig, LogitsProcessor, PreTrainedModel
from transformers.distributed import DistributedConfig

from harness_ext.common.errors import UserError, one_line, tell
from harness_ext.common.failures import failure_reason
from harness_ext.common.processes import processes_of_run
from harness_ext.models.checkpoint import read_by_libraries
from harness_ext.models.decoding import Decoder
from harness_ext.models.generation import REQUEST_ERRORS

_AUTO: Final = "auto"
_NOT_BESIDE: Final = {
    "device": "transformers puts each process's share on its GPU, or on the CPU where there is none",
    "device_map": "each is a way of its own to spread one model",
    "adapter": "it was not tried with shared out weights; merge it into them first",
    "load_in_4bit": "it was not tried with shared out weights",
    "trust_remote_code": "only transformers' own classes are shared out",
}

_T = TypeVar("_T")


def checked_plan(tp_plan: str, beside: Mapping[str, object], within: str) -> str:
    """``tp_plan`` with the number of processes, as an identity of answers has it.

    ``beside`` are options of the backend by name, ``within`` names a defence within the model. Raises ``UserError`` where
    this run cannot have one model in all its processes.
    """
    if tp_plan != _AUTO:
        raise UserError(f"tp_plan must be {_AUTO!r} (the plan of the model's class) or left out, found {tp_plan!r}")
    for name, reason in _NOT_BESIDE.items():
        if beside.get(name):
            raise UserError(f"leave out {name} beside tp_plan: {reason}")
    if within:
        raise UserError(
            f"defence {within}: acts within the model, which was not tried with tp_plan; leave out one of them"
        )
    if (processes := processes_of_run()) < 2:
        raise UserError(
            "tp_plan shares one model out among the processes of a run, and this run has one:\n"
            "torchrun --nproc_per_node GPUS -m harness_ext.cli --model …"
        )
    return f"{tp_plan}, {processes} processes"


def shared_out(pretrained: str, folder: Path, auto_class: Any) -> DistributedConfig:
    """How the model of ``folder`` is shared out; raises ``UserError``, before the weights are read, where it cannot be."""
    processes = processes_of_run()
    with read_by_libraries(f"cannot load the weights of {pretrained!r}: "), torch.device("meta"):
        config = AutoConfig.from_pretrained(folder)
        model = auto_class.from_config(config)
    # Many classes have a plan for the last layer alone.
    if all(rule.endswith("lm_head") for rule in model.tp_plan or {}):
        raise UserError(
            f"tp_plan: {type(model).__name__}, the class of {pretrained!r}, has no plan in transformers; take device_map=auto"
        )
    text = config.get_text_config()
    for name in ("num_attention_heads", "num_key_value_heads"):
        if (heads := getattr(text, name, None)) and heads % processes:
            raise UserError(
                f"tp_plan: {processes} processes cannot share the {heads} {name} of {pretrained!r} evenly; "
                "start as many as divide them"
            )
    return DistributedConfig(tp_size=processes, tp_plan=_AUTO)


def is_first() -> bool:
    """Whether this is the process that keeps answers."""
    return distributed.get_rank() == 0


def of_all(value: _T) -> list[_T]:
    """Every process's ``value``, in their order; each process must ask."""
    values: list[Any] = [None] * distributed.get_world_size()
    distributed.all_gather_object(values, value)
    return values


def of_first(work: Callable[[], _T]) -> _T:
    """What ``work`` gives in the first process, where alone it is done; its ``UserError`` is raised in all."""
    outcome: list[Any] = [None, None]
    if is_first():
        try:
            outcome[0] = work()
        except UserError as error:
            outcome[1] = error
    distributed.broadcast_object_list(outcome, src=0)
    result, problem = outcome
    if problem is not None:
        raise problem
    return cast(_T, result)


def in_all(work: Callable[[], _T]) -> _T:
    """What ``work`` gives in this process, if it succeeds in all; else raises ``ValueError`` in all.

    ``work`` may raise ``REQUEST_ERRORS``, and lets no process wait for another.
    """
    result: Any = None
    problem = ""
    try:
        result = work()
    except REQUEST_ERRORS as error:
        problem = failure_reason(error)
    if problems := [each for each in of_all(problem) if each]:
        raise ValueError(problems[0])
    return cast(_T, result)


def require_same(value: object, what: str) -> None:
    """Raise ``UserError`` in all processes unless ``value`` is the same in all."""
    if any(each != value for each in of_all(value)):
        raise UserError(f"the processes of this run, which share one model, read different {what}: start it again")


def gathered(requests: Sequence[Instance]) -> tuple[list[Instance], range]:
    """The requests of all processes, in one order, and the places of this process's own among them.

    Raises:
        UserError: In all processes, where one has no request of a task that another has.
    """
    of_task = {request.args[4]: request for request in requests}
    told = of_all([(context, *rest) for context, _, *rest in (request.args for request in requests)])
    if len({frozenset(task for *_, task, _ in of_process) for of_process in told}) > 1:
        raise UserError(
            "some processes of this run have questions of a task and others have none: give a larger --limit"
        )
    together: list[Instance] = []
    places = range(0)
    for rank, of_process in enumerate(told):
        if rank == distributed.get_rank():
            places = range(len(together), len(together) + len(requests))
            together += requests
            continue
        for context, options, row, task, split in of_process:
            # The second is a function of the task's, which is the same in every process and cannot be sent.
            arguments = context, of_task[task].args[1], options, row, task, split
            together.append(replace(of_task[task], arguments=arguments))
    return together, places


def end_all(error: Exception) -> NoReturn:
    """End this process, for which the others wait in the middle of a token; ``torchrun`` then ends them."""
    tell(
        f"process {distributed.get_rank()} of a model that all processes share cannot go on: {one_line(error)}\n"
        "Answers that were given are kept. If memory does not suffice, give a smaller --batch_size; a class whose plan "
        "transformers does not compute takes device_map=auto instead of tp_plan"
    )
    # An orderly end would wait for the others too.
    os._exit(1)


class DecoderTogether(Decoder):
    """A decoder whose model is shared out among processes; what is decided by scores is decided by the first one's."""

    def __init__(self, model: PreTrainedModel, *args: Any) -> None:
        super().__init__(model, *args)
        # Some of what torch does with shared out weights it does not do in inference mode; `generate` computes no gradients.
        model.generate = torch.inference_mode(False)(model.generate)

    def before_choosing(self) -> list[LogitsProcessor]:
        """As :class:`Decoder` says."""
        return [_OfFirst()]

    def first_scores(self, inputs: Mapping[str, Any], steps: int) -> tuple[torch.Tensor, torch.Tensor]:
        """As :class:`Decoder` says."""
        tokens, scores = super().first_scores(inputs, steps)
        return _of_first(tokens), _of_first(scores)


class _OfFirst(LogitsProcessor):
    """Scores, shape (B, V), of the first process, in all: rounding that differed would let one end before the others."""

    def __call__(self, input_ids: torch.LongTensor, scores: torch.FloatTensor) -> torch.FloatTensor:
        return _of_first(scores)  # type: ignore[return-value]


def _of_first(values: torch.Tensor) -> torch.Tensor:
    # A copy: it may be a part of what the model still reads.
    told = values.contiguous().clone()
    distributed.broadcast(told, src=0)
    return told
