"""Build the fake driver and all that belongs to it in the environment of the interpreter that runs this.

PYTHONPATH=tests/support python -m fakecuda.build
"""

from __future__ import annotations

import sysconfig
import time
from collections.abc import Callable
from pathlib import Path

from fakecuda.build_driver import build_driver
from fakecuda.build_extension import build_extension
from fakecuda.build_kernels import build_kernels
from fakecuda.places import FOLDER

PARTS: dict[str, Callable[[], bool]] = {
    "driver": build_driver,
    "CuPy's runtime extension": build_extension,
    "kernels for the host": build_kernels,
}


def main() -> None:
    FOLDER.mkdir(parents=True, exist_ok=True)
    for name, build in PARTS.items():
        began = time.perf_counter()
        if build():
            print(f"fakecuda: {name} built in {time.perf_counter() - began:.0f} s", flush=True)  # noqa: T201
    _link_startup()


def _link_startup() -> None:
    """Have every interpreter of this environment run startup.py, tests' child processes included."""
    link = Path(sysconfig.get_path("purelib")) / "sitecustomize.py"
    startup = Path(__file__).resolve().with_name("startup.py")
    if not link.is_symlink() or link.readlink() != startup:
        link.unlink(missing_ok=True)
        link.symlink_to(startup)


if __name__ == "__main__":
    main()
