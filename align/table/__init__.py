"""What came of training: the original and every method, asked by the same harness, side by side."""
