"""What starts a process: the console script `gpu-infer` and `python -m gpu_infer`."""

from __future__ import annotations

from .leave import leaving


def script() -> int:
    """The command line; returns the exit code."""
    return leaving(_command_line)


def container() -> int:
    """The container's main; returns the exit code."""
    return leaving(_container)


def _command_line() -> int:
    from .main import main

    return main()


def _container() -> int:
    from .main import container_main

    return container_main()
