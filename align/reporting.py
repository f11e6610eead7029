"""Whether what a run reports to can be reached: transformers finds out after the model is loaded, by a traceback."""

from transformers import TrainingArguments
from transformers.integrations.integration_utils import (
    get_available_reporting_integrations,
    get_reporting_integration_callbacks,
)

from harness_ext.errors import UserError

# Available or not, transformers does not always list them.
_UNLISTED = {"azure_ml", "flyte"}


def check_reporting(args: TrainingArguments) -> None:
    """Raise ``UserError`` where ``report_to`` names what is unknown or not installed, or wandb and nobody is logged in."""
    try:
        get_reporting_integration_callbacks(args.report_to)
    except ValueError as error:
        raise UserError(f"report_to: {error}") from error
    lacking = set(args.report_to) - {*get_available_reporting_integrations()} - _UNLISTED
    if lacking:
        names = ", ".join(sorted(lacking))
        raise UserError(
            f"report_to: {names}: its package is not installed, or an environment variable turns it off; install it, or "
            "take it out (--report_to tensorboard, none)"
        )
    if "wandb" in args.report_to:
        _log_in_to_wandb()


def _log_in_to_wandb() -> None:
    import wandb

    try:
        wandb.login()  # asks at a terminal
    except wandb.errors.Error as error:
        raise UserError(
            f"report_to: wandb: {' '.join(str(error).split())}\n"
            "Run `wandb login` or set WANDB_API_KEY; WANDB_MODE=offline keeps the log here; or take it out (--report_to none)"
        ) from error
