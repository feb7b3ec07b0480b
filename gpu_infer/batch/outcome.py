"""What became of a case."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

Status = Literal["done", "failed", "crashed"]


@dataclass(frozen=True)
class Outcome:
    """The end of one case, as case.json records it.

    status     "done"; "failed": an error of the case, its input or the model's answer; "crashed": the worker died twice
    error      one line, None if the case is done
    exit_code  with which a single run of the case would end (docs/exit-codes.md); 1 for an unexpected error
    kind       class of the error: "input", "model", "config", "server", "resource", "crash", "unexpected"; None if done
    seconds    from the begin of the case to its end, of the last attempt
    labels     as in report.json: by label voxels, ml and name
    report     the content of report.json, as far as the summary and the metrics need it (stages, tiles, triton, input)
    attempts   how often the case was begun
    skipped    the case was done before, and nothing has changed since
    """

    id: str
    status: Status
    error: str | None = None
    exit_code: int = 0
    kind: str | None = None
    seconds: float = 0.0
    labels: dict[str, Any] = field(default_factory=dict)
    report: dict[str, Any] = field(default_factory=dict)
    attempts: int = 1
    skipped: bool = False
