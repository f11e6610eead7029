"""Models whose code is in their own repository (``trust_remote_code``): one adapter an interface, nothing runs unasked."""
