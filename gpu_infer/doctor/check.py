"""The result of one check."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Status = Literal["ok", "warn", "fail"]


@dataclass(frozen=True)
class Check:
    """A result: `found` is one line, `remedy` is for a warning or failure, `exit_code` for a failure."""

    name: str
    status: Status
    found: str
    remedy: str | None = None
    exit_code: int = 0


def exit_code(checks: list[Check]) -> int:
    """0 if nothing failed, else the exit code of the first failure."""
    return next((check.exit_code for check in checks if check.status == "fail"), 0)
