from benchmark_data import own_caches  # noqa: F401
