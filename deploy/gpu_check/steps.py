"""The steps of the GPU check: their order, limits and needs, and the parts that fit one call on a lent host."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

CALL_S = 420
"""Seconds of one call on a host that is lent for minutes; a part fits it, unpacking and installing included."""
INSTALL_S = 35
"""Seconds of a call that its steps leave for unpacking, installing and packing the logs."""


@dataclass(frozen=True)
class Step:
    """One step.

    expected_s  seconds that an H200 with 16 cores should need
    limit_s     a step that takes longer is ended and counts as failed
    part        the call in which it runs
    needs       steps that must have passed
    wants       steps that run before it, whatever their outcome
    must        the check fails if this one is skipped
    """

    expected_s: float
    limit_s: float
    part: int
    needs: tuple[str, ...] = ()
    wants: tuple[str, ...] = ()
    must: bool = False


STEPS = {
    "memory": Step(10, 30, 1),
    "packages": Step(8, 30, 1, must=True),
    "device": Step(20, 60, 1, must=True),
    "triton": Step(20, 45, 1, must=True),
    "job": Step(50, 120, 1, ("device", "triton"), must=True),
    "bench.kernels": Step(70, 100, 1, ("device",)),
    "tests": Step(130, 200, 2, ("device",), ("triton",), must=True),
    "bench.volume": Step(50, 95, 2, ("device", "triton")),
    "bench.transports": Step(70, 90, 2, ("triton",)),
    "sanitizer": Step(60, 60, 3, ("device",)),
    "counters": Step(40, 60, 3, ("device",)),
    "bench.uploads": Step(15, 50, 3, ("device",)),
    "bench.whole": Step(60, 150, 3, ("triton",)),
    "bench.files": Step(20, 60, 3),
}
"""In the order in which they run: what needs a GPU comes first, so that a test that hangs does not prevent it."""

PARTS = {part: tuple(name for name, step in STEPS.items() if step.part == part) for part in (1, 2, 3)}
_ALWAYS = ("memory", "packages")


class Choice(NamedTuple):
    """Steps of a call in the order of STEPS, and those of them that the caller names; these need the others."""

    names: list[str]
    requested: frozenset[str]


def choose(names: str | None = None, part: int | None = None) -> Choice:
    """The steps `A,B` or those of a part, with the steps that they need; by default all.

    Raises:
        ValueError: an unknown step, or names and a part together.
    """
    if names is not None and part is not None:
        raise ValueError("--part and --steps exclude each other: give one of them")
    if part is not None:
        requested = PARTS[part]
    elif names is not None:
        requested = tuple(name.strip() for name in names.split(",") if name.strip())
        unknown = [name for name in requested if name not in STEPS]
        if unknown or not requested:
            raise ValueError(f"no step {', '.join(unknown) or repr(names)}; the steps are {', '.join(STEPS)}")
    else:
        requested = tuple(STEPS)
    chosen, queue = set(_ALWAYS), list(requested)
    while queue:
        name = queue.pop()
        chosen.add(name)
        queue += STEPS[name].needs + STEPS[name].wants
    return Choice([name for name in STEPS if name in chosen], frozenset(requested))
