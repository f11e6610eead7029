"""Glyphworld: a harmless procedural world, and a tiny but real VLM trained in it that shows a modality gap.

The embedded stand-in for the gated benchmark: it needs no download, no agreement and no accelerator. Its scores say
that the code works; they say nothing about any published model or data set. See README.md beside this file.
"""
