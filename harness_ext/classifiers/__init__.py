"""Judges that are text classifiers: the paper's own, and those that ``unsafeconcepts train-judge`` makes.

``text_classifier`` reads a checkpoint's labels, and ``judge`` makes verdicts of them. The authors' checkpoints are pickles:
``pickled`` reads one, ``converted`` keeps it as safetensors, ``first_token`` is its architecture, and ``paper`` the judge.
``training`` holds what ``train-judge`` does.
"""
