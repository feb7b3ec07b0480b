"""A folder with stand-ins for the programs that deploy/run_operator.sh calls, and a server with Triton's health."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import pairwise
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = ROOT / "deploy" / "run_operator.sh"
STAND_IN = Path(__file__).with_name("engine_stand_in.py")
SYSTEM_PATH = "/usr/bin:/bin"
ENDS_WITHIN_S = 60
WHOLE = ["network create", "run --detach", "run --rm", "stop", "rm", "network rm"]
"""The steps of a run in which nothing fails."""

Calls = list[list[str]]

needs_curl = pytest.mark.skipif(shutil.which("curl", path=SYSTEM_PATH) is None, reason="curl is not installed")


class Health(ThreadingHTTPServer):
    """Answers 503 until it has been asked `refusals` times, then 200."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), HealthHandler)
        self.refusals = 0
        self.paths: list[str] = []


class HealthHandler(BaseHTTPRequestHandler):
    server: Health

    def do_GET(self) -> None:
        self.server.paths.append(self.path)
        self.send_response(503 if len(self.server.paths) <= self.server.refusals else 200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Nothing on stderr."""


class Place:
    """A folder with `input` and `models`, and programs on PATH that are stand-ins."""

    def __init__(self, root: Path, port: int) -> None:
        self.root, self.port = root, port
        self.calls_file = root / "calls"
        for name in ("bin", "input", "models"):
            (root / name).mkdir()

    def install(self, *programs: str) -> None:
        for name in programs:
            path = self.root / "bin" / name
            path.write_text(f"#!{sys.executable}\n" + STAND_IN.read_text())
            path.chmod(0o755)

    def start(self, *options: str, **environ: str) -> subprocess.Popen[str]:
        env = {
            "PATH": f"{self.root / 'bin'}:{SYSTEM_PATH}",
            "TRITON_IMAGE": "registry.example/tritonserver:26.05-py3",
            "STAND_IN_CALLS": str(self.calls_file),
            "STAND_IN_PORT": str(self.port),
        }
        pipe = subprocess.PIPE
        return subprocess.Popen(
            [str(SCRIPT), *options],
            env=env | environ,
            cwd=self.root,
            stdout=pipe,
            stderr=pipe,
            encoding="utf-8",
            start_new_session=True,
        )

    def run(self, *options: str, **environ: str) -> tuple[int, str, str]:
        """Exit code, stdout and stderr."""
        with self.start(*options, **environ) as process:
            out, err = process.communicate(timeout=ENDS_WITHIN_S)
        return process.returncode, out, err

    def calls(self) -> Calls:
        lines = self.calls_file.read_text().splitlines() if self.calls_file.exists() else []
        return [json.loads(line) for line in lines]

    def wait_for(self, condition: Callable[[], bool]) -> None:
        deadline = time.monotonic() + ENDS_WITHIN_S
        while not condition():
            assert time.monotonic() < deadline, self.calls()
            time.sleep(0.02)


def steps(calls: Calls) -> list[str]:
    """The first words of each call, without what only asks for a state."""
    named = [" ".join(call[1 : 3 if call[1] in ("network", "run") else 2]) for call in calls if call[0] != "operator"]
    return [name for name in named if name not in ("port", "inspect", "logs", "network inspect")]


def values(call: list[str], option: str) -> list[str]:
    return [value for name, value in pairwise(call) if name == option]


def started(calls: Calls) -> tuple[list[str], list[str]]:
    """The calls that start Triton and the operator."""
    triton, operator = (call for call in calls if call[1] == "run")
    return triton, operator
