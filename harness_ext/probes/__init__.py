"""What the tasks' YAML names: rows made from the table of probes, metrics of an answer, access before any long work."""
