"""What every package may use: errors, failures, files, the hub, processes, provenance. Imports nothing else of ours."""
