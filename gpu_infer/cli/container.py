"""The container's main: environment variables in, files out."""

from __future__ import annotations

import os


def run_from_environment() -> None:
    """Run once with the settings of the environment and progress as log lines. Raises GpuInferError."""
    from gpu_infer.cli.execute import execute
    from gpu_infer.settings import Settings

    execute(Settings.from_environment(os.environ), bar=False)
