"""Which cases a part has, and which part a task of an array job is."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpu_infer.batch.case import Case
from gpu_infer.batch.engines.parts import Part, parse_part, part_of_environment
from gpu_infer.errors import ConfigError


@given(st.integers(0, 40), st.integers(1, 12))
def test_each_case_is_in_one_part(cases: int, count: int) -> None:
    every = [Case(str(n), (Path(f"{n}.nii"),)) for n in range(cases)]
    parts = [Part(number, count).cases(every) for number in range(1, count + 1)]
    assert sorted(case.id for part in parts for case in part) == sorted(case.id for case in every)
    assert max(map(len, parts)) - min(map(len, parts)) <= 1


def test_neighbours_are_in_different_parts() -> None:
    every = [Case(str(n), ()) for n in range(7)]
    assert [case.id for case in Part(2, 3).cases(every)] == ["1", "4"]


def test_parts_are_counted_from_1() -> None:
    assert parse_part("2/8") == Part(2, 8)
    assert str(Part(2, 8)) == "2/8"


@pytest.mark.parametrize("text", ["0/8", "9/8", "1/0", "1", "a/b", "-1/2", "1/2/3", "", "1.0/2"])
def test_other_parts_are_refused(text: str) -> None:
    with pytest.raises(ConfigError, match=r"--part: found .*, expected i/n, from 1/n to n/n"):
        parse_part(text)


@pytest.mark.parametrize(
    "environ",
    [
        {"JOB_COMPLETION_INDEX": "3"},
        {"SLURM_ARRAY_TASK_ID": "3"},
        {"SLURM_ARRAY_TASK_ID": "3", "SLURM_ARRAY_TASK_MIN": "0", "SLURM_ARRAY_TASK_COUNT": "8"},
        {"SLURM_ARRAY_TASK_ID": "3", "SLURM_ARRAY_TASK_MIN": "3", "SLURM_ARRAY_TASK_COUNT": "2"},  # --array=3,5
    ],
)
def test_a_task_of_an_array_job_is_a_part(environ: dict[str, str]) -> None:
    assert part_of_environment(8, environ) == Part(4, 8)


@pytest.mark.parametrize(
    ("environ", "message"),
    [
        ({}, "--parts: found neither variable, expected JOB_COMPLETION_INDEX or SLURM_ARRAY_TASK_ID"),
        ({"JOB_COMPLETION_INDEX": "1", "SLURM_ARRAY_TASK_ID": "1"}, "JOB_COMPLETION_INDEX=1 and SLURM_ARRAY_TASK_ID=1"),
        ({"SLURM_ARRAY_TASK_ID": "8"}, "found SLURM_ARRAY_TASK_ID=8, expected an index from 0 to 7"),
        ({"JOB_COMPLETION_INDEX": "x"}, "found JOB_COMPLETION_INDEX=x"),
        (
            {"SLURM_ARRAY_TASK_ID": "1", "SLURM_ARRAY_TASK_MIN": "1", "SLURM_ARRAY_TASK_COUNT": "8"},
            r"number the tasks from 0: sbatch --array=0-7",
        ),
    ],
)
def test_a_process_that_is_no_such_task_is_refused(environ: dict[str, str], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        part_of_environment(8, environ)


def test_a_number_of_parts_below_1_is_refused() -> None:
    with pytest.raises(ConfigError, match="--parts: found 0, expected 1 or more"):
        part_of_environment(0, {"JOB_COMPLETION_INDEX": "0"})
