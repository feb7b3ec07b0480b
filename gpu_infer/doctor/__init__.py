"""What `gpu-infer doctor` checks: installation, folders, shared memory, GPU, server, leftovers."""
