from benchmark_data import authors_contexts, authors_metadata, authors_options, own_caches  # noqa: F401
from gated_copies import copies, gated  # noqa: F401
