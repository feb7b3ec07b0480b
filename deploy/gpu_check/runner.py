"""Run the steps of the GPU check one by one, each with a limit of time, and write the JSON of results after each.

The JSON is complete and valid before and after every step: a check that is ended from outside loses only the running
step.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from deploy.gpu_check.process import run_group
from deploy.gpu_check.steps import STEPS, Choice

Outcome = dict[str, Any]
TAIL = 100
"""Lines of a failed step's last command that the JSON holds."""
LEAST_S = 5.0
"""A step does not start if less than this remains of the call's time."""


class Failed(Exception):
    """A step did not pass; the text has the reason."""


class Skipped(Exception):
    """A step could not run; the text has what it needs."""


class Runner:
    """The steps of one call.

    choice     steps to run; those in `earlier` run again only if the caller names them
    results    the JSON file
    facts      part of the JSON, before the steps
    waived     steps that may be skipped
    earlier    outcomes of an earlier call in the same work folder
    seconds    of the whole call; None has no such limit
    """

    def __init__(
        self,
        choice: Choice,
        work: Path,
        results: Path,
        facts: Outcome,
        *,
        waived: frozenset[str] = frozenset(),
        patience: float = 1.0,
        earlier: Mapping[str, Outcome] | None = None,
        seconds: float | None = None,
    ) -> None:
        self.names = list(choice.names)
        self.results = results
        self.facts = facts
        self.waived = waived
        self.patience = patience
        self.earlier = {n: o for n, o in (earlier or {}).items() if n in choice.names and n not in choice.requested}
        self.root = Path(__file__).resolve().parents[2]
        self.environment = dict(os.environ)
        self.steps: dict[str, Outcome] = {}
        self.measured: Outcome = {}
        """Measurements of the running step so far; part of the JSON if it fails."""
        self._logs = work / "logs"
        self._logs.mkdir(parents=True, exist_ok=True)
        self._end = None if seconds is None else time.monotonic() + seconds
        self._deadline = 0.0
        self._last: list[Path] = []
        self._calls = 0

    def step(self, name: str, body: Callable[[], Outcome | None], *, limit_s: float | None = None) -> None:
        """Run one step and record its outcome; do nothing if it is not chosen."""
        if name not in self.names:
            return
        if name in self.earlier:
            self.steps[name] = {**self.earlier[name], "earlier": True}
            self.save()
            say(f"{name}: passed in an earlier call")
            return
        limit = STEPS[name].limit_s * self.patience if limit_s is None else limit_s
        if self._end is not None:
            limit = min(limit, self._end - time.monotonic())
        say(f"{name} … (at most {max(limit, 0):.0f} s)")
        started = time.monotonic()
        self._deadline, self._last, self._calls, self.measured = started + limit, [], 0, {}
        self.steps[name] = {"outcome": "running"}
        self.save()
        self.steps[name] = outcome = self._outcome(name, body, limit)
        outcome["seconds"] = round(time.monotonic() - started, 2)
        self.save()
        say(f"{name}: {outcome['outcome']} ({outcome['seconds']:.0f} s) {outcome.get('why', '')}".rstrip())

    def _outcome(self, name: str, body: Callable[[], Outcome | None], limit: float) -> Outcome:
        try:
            for needed in STEPS[name].needs:
                if needed not in self.waived and self.steps.get(needed, {}).get("outcome") != "passed":
                    raise Skipped(f"needs the step {needed}")
            if limit < LEAST_S and self._end is not None:
                raise Skipped(f"the call's time is used up: run it again with --steps {name}")
            return {"outcome": "passed", **(body() or {})}
        except Skipped as reason:
            return {"outcome": "skipped", "why": str(reason)}
        except Failed as reason:
            why = str(reason)
        except Exception as error:
            why = f"{type(error).__name__}: {error}"
        return {"outcome": "failed", "why": why, **self.measured, "output_tail": self._tail()}

    def call(self, *command: object, **environment: str) -> subprocess.CompletedProcess[str]:
        """Run Python with these arguments in the rest of the step's time; Failed after that."""
        return self.run([sys.executable, *map(str, command)], **environment)

    def run(
        self, command: list[str], *, limit_s: float | None = None, **environment: str
    ) -> subprocess.CompletedProcess[str]:
        """Run a command in the rest of the step's time, or in `limit_s` of it; Failed after that.

        The output goes to files, which remain however the check ends.
        """
        self._calls += 1
        stem = f"{next(reversed(self.steps), 'call')}-{self._calls}"
        self._last = [self._logs / f"{stem}.out", self._logs / f"{stem}.err"]
        limit = min(self.seconds_left(), limit_s if limit_s is not None else float("inf"))
        with self._last[0].open("w", encoding="utf-8") as out, self._last[1].open("w", encoding="utf-8") as err:
            try:
                status = run_group(
                    command,
                    folder=self.root,
                    environment=self.environment | environment,
                    out=out,
                    err=err,
                    timeout_s=max(limit, 0.1),
                )
            except subprocess.TimeoutExpired:
                raise Failed("not done within the step's time; --patience 2 doubles it") from None
        texts = [path.read_text(errors="replace", encoding="utf-8") for path in self._last]
        return subprocess.CompletedProcess(command, status, *texts)

    def seconds_left(self) -> float:
        """Time of the running step until its limit."""
        return self._deadline - time.monotonic()

    def printed(self) -> list[str]:
        """Lines of the last command's output, then of its errors."""
        return [
            line
            for path in self._last
            if path.exists()
            for line in path.read_text(errors="replace", encoding="utf-8").splitlines()
        ]

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
        """Write the JSON again; `ok` is true only after every chosen step has run and none failed."""
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
        write_json(self.results, content)

    def summary(self) -> str:
        """One line: the failed, the skipped and the incomplete steps."""
        failed = self.failed()
        parts = [f"FAILED: {', '.join(failed)}" if failed else "all passed"]
        skipped = [f"{name} ({s['why']})" for name, s in self.steps.items() if s["outcome"] == "skipped"]
        partial = [n for n, s in self.steps.items() if s.get("incomplete") or s.get("result", {}).get("skipped")]
        if skipped:
            parts.append(f"skipped: {', '.join(skipped)}")
        if partial:
            parts.append(f'in part: {", ".join(partial)} ("incomplete" or "skipped" in the results says what)')
        return "; ".join(parts)


def write_json(path: Path, content: Outcome) -> None:
    """Replace the file in one step, so that it is complete at any time."""
    partial = path.with_name(path.name + ".part")
    partial.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    partial.replace(path)


def last_line(done: subprocess.CompletedProcess[str]) -> str:
    lines = [line for line in (done.stdout + "\n" + done.stderr).splitlines() if line.strip()]
    return lines[-1].strip() if lines else f"exit code {done.returncode} and no output"


def say(text: str) -> None:
    sys.stdout.write(f"gpu_check: {text}\n")
    sys.stdout.flush()
