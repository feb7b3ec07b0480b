"""Stand-in for docker, podman and gpu-infer: records its arguments and answers as STAND_IN_* variables say.

STAND_IN_CALLS is the file for one line of JSON per call, [program, arguments...]; the operator's end is a line, too.
STAND_IN_PORT is the port that `port` prints, STAND_IN_RUNNING what `inspect` prints, STAND_IN_FAILS the first arguments
of the call that fails, STAND_IN_CODE the operator's exit code. With STAND_IN_SLEEPS the operator waits for a signal.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from pathlib import Path


def record(*line: str) -> None:
    with Path(os.environ["STAND_IN_CALLS"]).open("a", encoding="utf-8") as file:
        file.write(json.dumps(line) + "\n")


def operate() -> int:
    if "STAND_IN_SLEEPS" not in os.environ:
        return int(os.environ.get("STAND_IN_CODE", "0"))
    signals: list[int] = []
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda n, _: signals.append(n))
    record("operator", "waits")
    while not signals:
        time.sleep(0.02)
    time.sleep(0.5)  # a second signal would arrive now
    record("operator", *(signal.Signals(number).name for number in signals))
    return 130


def main(program: str, *arguments: str) -> int:
    record(program, *arguments)
    text = " ".join(arguments)
    if (failing := os.environ.get("STAND_IN_FAILS")) and text.startswith(failing):
        sys.stderr.write(f"{program}: {failing} failed\n")
        return 125
    match arguments:
        case ["port", *_]:
            sys.stdout.write(f"127.0.0.1:{os.environ['STAND_IN_PORT']}\n[::1]:1\n")
        case ["inspect", *_]:
            sys.stdout.write(os.environ.get("STAND_IN_RUNNING", "true") + "\n")
        case ["logs", *_]:
            sys.stdout.write("the log of Triton\n")
        case ["network", "inspect", *_]:
            return 0 if "STAND_IN_NETWORK_STAYS" in os.environ else 1
        case ["run", "--rm", *_] | ["run", "--triton", *_]:
            return operate()
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[0]).name, *sys.argv[1:]))
