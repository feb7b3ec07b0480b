"""Predicts the time of every row of bench.kernels from counts of instructions and bytes, without measuring."""
