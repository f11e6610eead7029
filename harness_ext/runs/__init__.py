"""The one reader of result folders: which files are one evaluation, which answers are in them, and what may be compared."""
