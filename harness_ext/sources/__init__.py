"""Where images come from. A task names its source, and no source ever stands in for another."""
