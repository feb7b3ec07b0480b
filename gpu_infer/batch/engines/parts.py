"""Parts of a batch: each process of an array job takes its share of the cases, and needs no other."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from gpu_infer.batch.case import Case
from gpu_infer.environment import environment_value
from gpu_infer.errors import ConfigError

INDEX_VARIABLES = ("JOB_COMPLETION_INDEX", "SLURM_ARRAY_TASK_ID")
"""Variables with the index of a task, from 0: of an Indexed Job of Kubernetes, of an array of Slurm."""


@dataclass(frozen=True)
class Part:
    """Part `number` (from 1) of `count`."""

    number: int
    count: int

    def __str__(self) -> str:
        return f"{self.number}/{self.count}"

    def cases(self, cases: Sequence[Case]) -> list[Case]:
        """Every `count`-th case: neighbours in a list have similar sizes, so that the parts take similar times."""
        return list(cases[self.number - 1 :: self.count])


def parse_part(text: str) -> Part:
    """The part that `--part i/n` names. Raises ConfigError."""
    match = re.fullmatch("([0-9]{1,6})/([0-9]{1,6})", text.strip())
    part = Part(int(match[1]), int(match[2])) if match else None
    if part is None or not 1 <= part.number <= part.count:
        raise ConfigError(
            f"--part: found {text!r}, expected i/n, from 1/n to n/n", remedy="write for example --part 2/8"
        )
    return part


def part_of_environment(count: int, environ: Mapping[str, str]) -> Part:
    """The part of this task of an array job with `count` tasks, `--parts`. Raises ConfigError."""
    if count < 1:
        raise ConfigError(f"--parts: found {count}, expected 1 or more", remedy="give the number of tasks")
    values = {name: text for name in INDEX_VARIABLES if (text := environment_value(environ, name)) is not None}
    if len(values) != 1:
        given = " and ".join(f"{name}={text}" for name, text in values.items()) or "neither variable"
        raise ConfigError(
            f"--parts: found {given}, expected {' or '.join(INDEX_VARIABLES)}",
            remedy="use it in an array job, or give --part i/n",
        )
    ((name, text),) = values.items()
    lowest = environment_value(environ, "SLURM_ARRAY_TASK_MIN") if name.startswith("SLURM") else None
    size = environment_value(environ, "SLURM_ARRAY_TASK_COUNT") if lowest is not None else None
    if not re.fullmatch("[0-9]{1,6}", text) or int(text) >= count or (size == str(count) and lowest != "0"):
        raise ConfigError(
            f"--parts: found {name}={text}, expected an index from 0 to {count - 1}",
            remedy=f"number the tasks from 0: sbatch --array=0-{count - 1}, or an Indexed Job of {count} completions",
        )
    return Part(int(text) + 1, count)
