"""The result of one check."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Literal

from gpu_infer.errors import GpuInferError

Status = Literal["ok", "warn", "fail"]
Group = Literal["install", "machine", "run", "server"]


@dataclass(frozen=True)
class Check:
    """A result: `found` is one line, `remedy` is for a warning or failure, `exit_code` for a failure.

    group    what the check is about, set by `examine`
    details  everything that `found` shortens, for JSON; None if it shortens nothing
    """

    name: str
    status: Status
    found: str
    remedy: str | None = None
    exit_code: int = 0
    group: Group | None = None
    details: object = None


def failure(name: str, error: GpuInferError) -> Check:
    """The failed check of an error that would end a run."""
    return Check(name, "fail", error.message, error.remedy, error.exit_code)


def in_group(group: Group, checks: Iterable[Check]) -> list[Check]:
    """The checks, assigned to a group."""
    return [replace(check, group=group) for check in checks]


def exit_code(checks: list[Check]) -> int:
    """0 if nothing failed, else the exit code of the first failure."""
    return next((check.exit_code for check in checks if check.status == "fail"), 0)
