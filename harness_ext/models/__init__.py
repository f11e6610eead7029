"""Who is asked: the catalogue of model names, and the backend that runs them."""
