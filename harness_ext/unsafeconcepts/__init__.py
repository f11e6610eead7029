"""UnsafeConcepts: the paper's benchmark, whose images are gated and whose lists are published."""
