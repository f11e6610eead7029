"""Responses to verdicts: one protocol (``base``), one file or folder and one line of ``registry`` a judge."""

from harness_ext.judges.rules import RuleJudge

__all__ = ["RuleJudge"]
