"""A run of training on disk: checkpoints written whole or not at all, what they were made with, and going on from them."""
