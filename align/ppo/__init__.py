"""Proximal policy optimisation from a model's own answers: the maths, the critic, the trainer."""
