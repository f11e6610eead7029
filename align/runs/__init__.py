"""A run and the folder it writes: checkpoints that are whole or not there, what a run was, and what stopped it."""
