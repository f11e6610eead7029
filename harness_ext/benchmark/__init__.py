"""What is asked: the taxonomy, the questions, the splits, and the sources of the rows."""
