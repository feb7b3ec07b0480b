"""The checks of `gpu-infer doctor`, in the groups install, machine, run and server."""
