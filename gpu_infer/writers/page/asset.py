"""NiiVue, the viewer that the page loads. A package that was built without npm does not have it."""

from __future__ import annotations

from pathlib import Path

from gpu_infer.errors import ConfigError

VIEWER_MARK = b"/*! NiiVue, BSD-2-Clause: niivue.LICENSE.txt. Copied by gpu_infer. */\n"
"""The first line of the viewer; hatch_build.py writes it."""

LICENCE_MARK = b"NiiVue (niivue.umd.js), copied by gpu_infer\n"
"""The first line of the published licence."""

_VIEWER = Path(__file__).parent / "niivue.umd.js"


def has_viewer() -> bool:
    """Whether the viewer is installed."""
    return _VIEWER.is_file()


def check_viewer() -> None:
    """Raise `ConfigError` if the viewer is not installed."""
    if not has_viewer():
        raise ConfigError(
            f"{_VIEWER}: found no viewer for the page, because this package was built without npm",
            remedy="build and install it where npm is installed, or run `make page-asset` in a checkout",
        )


def viewer_file() -> Path:
    """Return the viewer's file. Raises what `check_viewer` raises."""
    check_viewer()
    return _VIEWER


def licence() -> bytes:
    """Return the licences of the viewer and of the packages in it."""
    return LICENCE_MARK + _VIEWER.with_name("niivue.licence.txt").read_bytes()
