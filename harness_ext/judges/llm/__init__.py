"""Judges that are language models: one rubric, read by a model behind an API (``api``) or on this machine (``local``)."""
