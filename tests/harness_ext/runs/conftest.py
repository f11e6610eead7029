from benchmark_data import authors_contexts, authors_outputs  # noqa: F401
