"""Responses to verdicts: one judge a file, one small protocol. No torch, no harness."""

from harness_ext.judges.base import Judge
from harness_ext.judges.rules import RuleJudge

__all__ = ["Judge", "RuleJudge"]
