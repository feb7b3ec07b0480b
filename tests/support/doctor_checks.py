"""The checks of `gpu-infer doctor`."""

from __future__ import annotations

import json
from typing import Any

from typer.testing import CliRunner

from gpu_infer.cli.main import app

NOBODY = "127.0.0.1:9"


def run_checks(*arguments: str) -> tuple[int, dict[str, dict[str, Any]]]:
    result = CliRunner().invoke(app, ["doctor", "--json", *arguments])
    return result.exit_code, {check["name"]: check for check in json.loads(result.stdout)}
