"""Guards: models that judge content by a prompt of their own, and answer in a format of their own."""
