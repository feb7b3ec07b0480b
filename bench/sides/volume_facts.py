"""The figures of one run that both sides of bench.volume have, by the same definitions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bench.support.server_time import ServerSeconds


def timed_run(seconds: float, stages: Mapping[str, float], spent: ServerSeconds) -> dict[str, Any]:
    """Whole seconds and stages, the server's time on them, and the rest without the model.

    rest_s                          all but the model
    non_model_non_file_s            prepare, infer and restore less the model; passing tensors on is in it
    non_model_non_file_non_copy_s   the same less the server's copying
    """
    inside = stages["prepare"] + stages["infer"] + stages["restore"]
    return {
        "seconds": seconds,
        "stages": dict(stages),
        "model_s": round(spent.infer, 4),
        "server_input_s": round(spent.input, 4),
        "server_output_s": round(spent.output, 4),
        "rest_s": round(seconds - spent.infer, 4),
        "non_model_share": round(1 - spent.infer / seconds, 4),
        "non_model_non_file_s": round(inside - spent.infer, 4),
        "non_model_non_file_non_copy_s": round(inside - spent.infer - spent.input - spent.output, 4),
    }


def first_case(facts: Mapping[str, Any]) -> dict[str, Any]:
    """The figures of a process's first run with the process's own start: interpreter, imports, GPU context.

    facts  of the run that counts; `first_run` has `process_s`, the seconds from the process's start to its labels
    """
    run = dict(facts["first_run"])
    whole = run["process_s"]
    return {
        **run,
        "seconds": whole,
        "rest_s": round(whole - run["model_s"], 4),
        "non_model_share": round(1 - run["model_s"] / whole, 4),
        "counted": "first case of a process",
    }
