"""A benchmark of the user's own: a folder with ``benchmark.yaml`` and images. Brings neither datasets, torch nor Pillow."""

from harness_ext.own.benchmark import OwnBenchmark, read
from harness_ext.own.folder import user_folders

__all__ = ["OwnBenchmark", "read", "user_folders"]
