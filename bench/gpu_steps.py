"""Runs the steps of the GPU check one by one, each with a limit of time, and keeps the JSON of results up to date.

The JSON is whole and valid before and after every step, so that a check that is ended from outside loses no more than
the step that it was in.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

Outcome = dict[str, Any]
TAIL = 100
"""Lines of a failed step's last command that the JSON keeps."""


class Failed(Exception):
    """A step did not pass; the text says why."""


class Skipped(Exception):
    """A step could not be tried; the text says what it needs."""


@dataclass(frozen=True)
class Step:
    """limit_s: a step that takes longer is ended and counts as failed; needs: steps that must have passed; wants: steps
    that are run before it, whatever becomes of them."""

    limit_s: float
    needs: tuple[str, ...] = ()
    wants: tuple[str, ...] = ()
    must: bool = False


STEPS = {
    "packages": Step(40, must=True),
    "device": Step(100, must=True),
    "triton": Step(60, must=True),
    "tests": Step(220, ("device",), ("triton",), must=True),
    "job": Step(180, ("device", "triton"), must=True),
    "bench.kernels": Step(150, ("device",)),
    "bench.transports": Step(120, ("triton",)),
    "bench.volume": Step(240, ("device", "triton")),
    "bench.files": Step(120),
    "bench.whole": Step(180, ("triton",)),
}
"""In the order in which they run, what tells most first: those that must pass take ten minutes at the very most."""


def chosen(names: str | None) -> list[str]:
    """The steps `A,B` and those that they need, in the order of STEPS; None is all. ValueError for an unknown name."""
    if names is None:
        return list(STEPS)
    asked = [name.strip() for name in names.split(",") if name.strip()]
    unknown = [name for name in asked if name not in STEPS]
    if unknown or not asked:
        raise ValueError(f"no step {', '.join(unknown) or repr(names)}; the steps are {', '.join(STEPS)}")
    wanted = {"packages"}
    while asked:
        name = asked.pop()
        wanted.add(name)
        asked += STEPS[name].needs + STEPS[name].wants
    return [name for name in STEPS if name in wanted]


class Runner:
    """results: the JSON file; facts: what stands in it beside the steps; waived: steps that may be skipped."""

    def __init__(
        self,
        names: Sequence[str],
        work: Path,
        results: Path,
        facts: Outcome,
        *,
        waived: frozenset[str] = frozenset(),
        patience: float = 1.0,
    ) -> None:
        self.names = list(names)
        self.results = results
        self.facts = facts
        self.waived = waived
        self.patience = patience
        self.root = Path(__file__).resolve().parents[1]
        self.environment = dict(os.environ)
        self.steps: dict[str, Outcome] = {}
        self.found: Outcome = {}
        """What the running step has measured so far; kept where it fails."""
        self._logs = work / "logs"
        self._logs.mkdir(parents=True, exist_ok=True)
        self._deadline = 0.0
        self._last: list[Path] = []
        self._calls = 0

    def step(self, name: str, body: Callable[[], Outcome | None], *, limit_s: float | None = None) -> None:
        """Run one step and note what became of it; nothing where it is not among the chosen."""
        if name not in self.names:
            return
        limit = STEPS[name].limit_s * self.patience if limit_s is None else limit_s
        say(f"{name} … (at most {limit:.0f} s)")
        started = time.monotonic()
        self._deadline, self._last, self._calls, self.found = started + limit, [], 0, {}
        self.steps[name] = {"outcome": "running"}
        self.save()
        self.steps[name] = outcome = self._outcome(name, body)
        outcome["seconds"] = round(time.monotonic() - started, 2)
        self.save()
        say(f"{name}: {outcome['outcome']} ({outcome['seconds']:.0f} s) {outcome.get('why', '')}".rstrip())

    def _outcome(self, name: str, body: Callable[[], Outcome | None]) -> Outcome:
        try:
            for needed in STEPS[name].needs:
                if needed not in self.waived and self.steps.get(needed, {}).get("outcome") != "passed":
                    raise Skipped(f"needs the step {needed}")
            return {"outcome": "passed", **(body() or {})}
        except Skipped as reason:
            return {"outcome": "skipped", "why": str(reason)}
        except Failed as reason:
            why = str(reason)
        except Exception as error:
            why = f"{type(error).__name__}: {error}"
        return {"outcome": "failed", "why": why, **self.found, "output_tail": self._tail()}

    def call(self, *command: object, **environment: str) -> subprocess.CompletedProcess[str]:
        """Run Python with these arguments in what is left of the step's time; Failed after that.

        The output goes to files, so that it can be read whatever becomes of the check.
        """
        self._calls += 1
        stem = f"{next(reversed(self.steps), 'call')}-{self._calls}"
        self._last = [self._logs / f"{stem}.out", self._logs / f"{stem}.err"]
        left = self._deadline - time.monotonic()
        with self._last[0].open("w") as out, self._last[1].open("w") as err:
            try:
                done = subprocess.run(
                    [sys.executable, *map(str, command)],
                    cwd=self.root,
                    env=self.environment | environment,
                    stdin=subprocess.DEVNULL,
                    stdout=out,
                    stderr=err,
                    timeout=max(left, 0.1),
                    check=False,
                )
            except subprocess.TimeoutExpired:
                raise Failed("not done within the step's time; --patience 2 doubles it") from None
        texts = [path.read_text(errors="replace") for path in self._last]
        return subprocess.CompletedProcess(done.args, done.returncode, *texts)

    def printed(self) -> list[str]:
        """Lines of the last command's output, its errors behind it."""
        return [line for path in self._last if path.exists() for line in path.read_text(errors="replace").splitlines()]

    def _tail(self) -> list[str]:
        return self.printed()[-TAIL:]

    def failed(self) -> list[str]:
        """Steps that failed, and those that must pass and were skipped."""
        must = [name for name, step in STEPS.items() if step.must and name not in self.waived]
        return [
            name
            for name, step in self.steps.items()
            if step["outcome"] == "failed" or (name in must and step["outcome"] == "skipped")
        ]

    def save(self) -> None:
        """Write the JSON anew; `ok` is true only when every chosen step has run and none failed."""
        complete = [name for name in self.names if self.steps.get(name, {}).get("outcome", "running") != "running"]
        failed = self.failed()
        content = {
            "ok": complete == self.names and not failed,
            "complete": complete == self.names,
            "failed": failed,
            "skipped": [name for name, step in self.steps.items() if step["outcome"] == "skipped"],
            "chosen": self.names,
            **self.facts,
            "steps": self.steps,
        }
        partial = self.results.with_name(self.results.name + ".part")
        partial.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
        partial.replace(self.results)

    def summary(self) -> str:
        """One line: what failed, what was skipped, what was left out in part."""
        failed = self.failed()
        parts = [f"FAILED: {', '.join(failed)}" if failed else "all passed"]
        skipped = [f"{name} ({s['why']})" for name, s in self.steps.items() if s["outcome"] == "skipped"]
        left = [name for name, s in self.steps.items() if s.get("result", {}).get("left")]
        if skipped:
            parts.append(f"skipped: {', '.join(skipped)}")
        if left:
            parts.append(f'in part: {", ".join(left)} ("left" in the results says what)')
        return "; ".join(parts)


def last_line(done: subprocess.CompletedProcess[str]) -> str:
    lines = [line for line in (done.stdout + "\n" + done.stderr).splitlines() if line.strip()]
    return lines[-1].strip() if lines else f"exit code {done.returncode} without a word"


def say(text: str) -> None:
    sys.stdout.write(f"gpu_check: {text}\n")
    sys.stdout.flush()
