"""A real Triton on this machine, without Docker and without a GPU."""
