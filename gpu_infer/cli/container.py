"""The container's main: environment variables in, files out."""

from __future__ import annotations

import os


def run_from_environment() -> None:
    """Run once with the settings of the environment, logging plain lines; raises GpuInferError."""
    from ..settings import Settings
    from .execute import execute

    execute(Settings.from_environment(os.environ), bar=False)
