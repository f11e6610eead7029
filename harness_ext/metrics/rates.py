"""How often there is no verdict: ``na`` of the answered requests, ``failed`` of all of them."""

from collections.abc import Sequence
from math import nan

from harness_ext.metrics.records import FAILED, NA, Judgement


def na_rate(records: Sequence[Judgement]) -> float:
    """Share of ``na`` among the requests that were answered; nan when none was."""
    answered = [record for record in records if record.verdict != FAILED]
    return sum(record.verdict == NA for record in answered) / len(answered) if answered else nan


def failed_rate(records: Sequence[Judgement]) -> float:
    """Share of failed requests among all of them; nan when there is none."""
    return sum(record.verdict == FAILED for record in records) / len(records) if records else nan
