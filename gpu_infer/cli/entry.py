"""What starts a process: the console script `gpu-infer` and `python -m gpu_infer`."""

from __future__ import annotations

from gpu_infer.system.preload import begin_command, preload


def script() -> int:
    """The command line; returns the exit code."""
    begin_command()
    preload("gpu_infer.cli.main")
    from gpu_infer.cli.main import main

    return main()


def container() -> int:
    """The container's main; returns the exit code."""
    begin_command()
    preload("gpu_infer.cli.main")
    from gpu_infer.cli.main import container_main

    return container_main()
