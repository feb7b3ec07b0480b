"""The command that segments a volume with a new configuration, to be pasted into a shell."""

from __future__ import annotations

import shlex
from pathlib import Path


def run_command(folder: Path, config: Path, local_models: Path | None) -> str:
    """`gpu-infer run` with an output folder of its own: results of other applications stay.

    folder        of the application; the output folder has its name
    local_models  repository that a local Triton serves; None: it cannot serve the model, and another server has to
    """
    output = shlex.quote(f"out_{folder.absolute().name}")
    command = f"gpu-infer run -i SCAN -o {output} --config {shlex.quote(str(config))}"
    if local_models is None:
        return f"{command} --triton HOST:PORT"
    return f"{command} --triton local --models {shlex.quote(str(local_models))}"
