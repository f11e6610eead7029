"""``unsafeconcepts compare``: is another model better than the first one, and did it keep its abilities? See README.md."""

from harness_ext.report.compare.measures import Row
from harness_ext.report.compare.pairs import compare

__all__ = ["Row", "compare"]
