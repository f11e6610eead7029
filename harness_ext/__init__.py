"""Probes of perception, alignment and the modality gap of vision-language models, as a plugin for lmms-eval and lm-eval."""

__version__ = "0.1.0"
