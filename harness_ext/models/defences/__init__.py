"""Defences at inference, one a file: other ways to ask a model, without training it."""
