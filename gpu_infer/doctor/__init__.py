"""The checks of `gpu-infer doctor`: installation, folders, shared memory, GPU, server, leftovers."""
