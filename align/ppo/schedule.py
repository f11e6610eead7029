"""A learning rate's schedule that begins after the critic's warm-up."""

from collections.abc import Callable

from torch.optim.lr_scheduler import LambdaLR, LRScheduler

from harness_ext.common.errors import UserError


def hold_back(scheduler: LRScheduler, steps: int) -> None:
    """Let ``scheduler``, which has not been stepped yet, begin after ``steps`` optimiser steps at its first rate.

    Raises ``UserError`` where its rate is not a function of the step.
    """
    if not isinstance(scheduler, LambdaLR):
        raise UserError(
            f"critic_warmup_in_schedule: expected an lr_scheduler_type whose rate is a function of the step, found "
            f"{type(scheduler).__name__}; take another, or let the warm-up count as steps of it"
        )

    def later(factor: Callable[[int], float]) -> Callable[[int], float]:
        return lambda step: factor(max(0, step - steps))

    scheduler.lr_lambdas = [later(factor) for factor in scheduler.lr_lambdas]
