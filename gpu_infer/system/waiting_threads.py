"""How threads of numerical libraries wait for work in a command: asleep, not in a loop.

OpenMP's threads, which run the kernels of a CPU, look for the next kernel for milliseconds after each, and OpenBLAS's,
which NumPy starts, do so for some 30 ms. Meanwhile, a Triton on the same machine waits for the processor.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, MutableMapping

_SETTINGS = {"OMP_WAIT_POLICY": "passive", "OPENBLAS_THREAD_TIMEOUT": "4"}
"""Read by the libraries when they are loaded. 4: the least that OpenBLAS takes, 2**4 cycles."""

_NAMES = "GPU_INFER_WAIT_SETTINGS"
"""Has the names of the variables that `wait_asleep` has set, also for processes that inherit them."""


def wait_asleep(environ: MutableMapping[str, str] = os.environ) -> None:
    """Make threads wait asleep, unless the user has set how they wait. Before NumPy and Numba are imported."""
    unset = [name for name in _SETTINGS if name not in environ]
    environ.update({name: _SETTINGS[name] for name in unset})
    if unset:
        environ[_NAMES] = " ".join([*environ.get(_NAMES, "").split(), *unset])


def without_settings(environ: Mapping[str, str]) -> dict[str, str]:
    """`environ` for a process that is not of this package, without what `wait_asleep` has set."""
    names = {_NAMES, *environ.get(_NAMES, "").split()}
    return {name: value for name, value in environ.items() if name not in names}
