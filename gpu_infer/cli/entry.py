"""What starts a process: the console script `gpu-infer` and `python -m gpu_infer`."""

from __future__ import annotations

import sys

from gpu_infer.cli.leave import leaving


def script() -> int:
    """The command line; returns the exit code, with which the process ends next (`leave`)."""
    return leaving(_command_line, sys._getframe(1))


def container() -> int:
    """The container's main; returns the exit code, with which the process ends next (`leave`)."""
    return leaving(_container, sys._getframe(1))


def _command_line() -> int:
    from gpu_infer.cli.main import main

    return main()


def _container() -> int:
    from gpu_infer.cli.main import container_main

    return container_main()
