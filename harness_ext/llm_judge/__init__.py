"""Judging by a language model: one rubric, read by a model behind an API (``endpoint``) or of one's own (``local``)."""
