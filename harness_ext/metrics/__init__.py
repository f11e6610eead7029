"""Verdicts to numbers: pure functions over judged answers; no torch, no harness, no I/O."""
