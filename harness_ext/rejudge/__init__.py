"""Judging saved answers again, and comparing judges on the same answers: no model is asked anything."""
