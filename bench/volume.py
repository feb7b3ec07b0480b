"""Which stages use the time and memory of a whole run? `python -m bench.volume [--device gpu] [--quick]`.

The operator and MONAI process phantoms of five sizes from file to file, with the same Triton and models that compute
almost nothing (bench/models, on a GPU bench/models_gpu): 1 mm grid, windows, labels on the file's grid; the last case
has 105 classes. One process per side and case runs it twice: the second run measures a case in a series; the first,
timed from the start of the process, a job of one volume. The operator sends the windows of its mode clara through
shared memory, MONAI those of an overlap of 0.25 inside gRPC requests.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bench.sides.volume_case import CASES, QUICK, ROI, Case, Shape
from bench.sides.volume_facts import first_case
from bench.sides.volume_operator import CaseFailed, operator_side
from bench.sides.volume_peer import LeftOut, PeerMissing, agreement, monai_side, why_left_out
from bench.support.addresses import Addresses
from bench.support.bytecode import compile_package
from bench.support.output import RESULTS, Chart, Result, add_results, mebibytes, say, seconds, times
from bench.support.served import models_device, served
from gpu_infer.backends.choose import choose_backend
from gpu_infer.errors import GpuInferError

OURS, MONAI = "gpu_infer", "MONAI"
UNCOUNTED = (192, 192, 192)
"""Voxels of the phantom whose run compiles what a case needs: several windows, and shared among threads."""

STAGES = ("read", "prepare", "infer", "restore", "write")
DRAWN_STAGES = ("prepare", "infer", "restore")
COLUMNS = [
    *("case", "side", "whole", *STAGES, "model", "server's input", "server's output"),
    *("all but model", "all but model and files", "all but model, files, server's input and output"),
    *("windows", "host", "GPU", "whole, ratio", "all but model, ratio", "labels equal"),
]
NOTES = [
    "Second run of a process. Model, server's input, server's output: compute_infer, compute_input and compute_output "
    "of Triton's statistics. All but model and files: prepare, infer and restore less the model, passing on included; "
    "the next column is less the server's input and output as well. Host, GPU: peak memory of the side's process; on "
    "the GPU what the operator had asked for and what PyTorch's tensors took.",
    "First case of a process: a job of one volume, from the start of its process, with imports and, on a GPU, the "
    "creation of its context; its ratios are to our first case. Kernels were compiled before.",
    "Ratios: a side's seconds over ours. Labels equal: share of the file's voxels on which both sides agree; sizes "
    "after resampling, padding and windows differ (docs/equivalence.md).",
]


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.volume", description=__doc__)
    parser.add_argument("--device", choices=["cpu", "gpu"], help="default: the GPU if there is one")
    parser.add_argument("--quick", action="store_true", help="the first two cases only")
    parser.add_argument("--shape", type=int, nargs=3, metavar="N", help="one phantom of these voxels instead")
    parser.add_argument(
        "--peers",
        action=argparse.BooleanOptionalAction,
        help="compare with MONAI; default: if it is installed",
    )
    add_results(parser)
    arguments = parser.parse_args()
    try:
        device = choose_backend(arguments.device or "auto").name
        cases = (Case(tuple(arguments.shape)),) if arguments.shape else QUICK if arguments.quick else CASES
        run(device, cases, peers=arguments.peers, folder=arguments.results)
    except (GpuInferError, CaseFailed, PeerMissing) as error:
        sys.exit(f"bench.volume: {error}")


def run(
    device: str,
    cases: tuple[Case, ...] = CASES,
    *,
    roi: Shape = ROI,
    peers: bool | None = None,
    free: int | None = None,
    folder: Path = RESULTS,
) -> Result:
    """Measure and publish volume.*; the results so far after every side, in case the run is ended.

    peers  MONAI's side: True, False, or None: if it is installed
    free   free bytes of the host for MONAI's side; None measures them
    """
    result = Result("volume", f"Whole runs from file to file, {device}", COLUMNS, notes=list(NOTES), keys=2)
    result.data["cases"] = {}
    if (absent := why_left_out(device, peers)) is not None:
        _skip(result, f"{MONAI}: {absent}")
    groups: dict[str, dict[str, float]] = {}
    compile_package()
    with tempfile.TemporaryDirectory() as scratch, served(choose_backend(device)) as (server, note):
        result.notes.append(note)
        result.data["models_device"] = models_device(server)
        for case in cases:
            say(f"{case.name} …")
            source, ours, theirs = (Path(scratch, name) for name in ("phantom.nii", "ours", "monai"))
            addresses = Addresses.of(server)
            small = Case(UNCOUNTED, case.many)
            small.write(source)
            operator_side(small, source, ours, device, addresses, roi)
            shutil.rmtree(ours, ignore_errors=True)
            case.write(source)
            facts, labels = operator_side(case, source, ours, device, addresses, roi)
            sides = result.data["cases"][case.name] = {OURS: facts}
            start = first_case(facts)
            result.rows += [_row(case, OURS, facts, facts), _row(case, OURS, start, start)]
            _keep(result, folder)
            if absent is None:
                try:
                    measured, others = monai_side(case, source, theirs, device, server.grpc, roi, free=free)
                except LeftOut as reason:
                    _skip(result, f"{MONAI}, {case.name}: {reason}")
                    sides[MONAI] = {"left_out": str(reason)}
                    result.rows.append([case.name, MONAI, str(reason), *[""] * (len(COLUMNS) - 3)])
                else:
                    sides[MONAI] = measured | {"agreement": agreement(labels, others, case.shape)}
                    result.rows += [
                        _row(case, MONAI, sides[MONAI], facts),
                        _row(case, MONAI, first_case(sides[MONAI]), start),
                    ]
                _keep(result, folder)
            groups |= chart_groups(case.name, sides)
            for path in (ours, theirs):
                shutil.rmtree(path, ignore_errors=True)
            source.unlink()
    result.chart = Chart(groups, "seconds (logarithmic)", baseline=OURS)
    result.publish(folder)
    return result


def _row(case: Case, side: str, facts: dict[str, Any], ours: dict[str, Any]) -> list[str]:
    """One line of the table; the name of a side whose first run counts has a note."""
    device, equal = facts["peak_device_bytes"], facts.get("agreement", {}).get("equal_share")
    return [
        case.name,
        side if facts["counted"] == "second run" else f"{side} ({facts['counted']})",
        seconds(facts["seconds"]),
        *(seconds(facts["stages"][name]) for name in STAGES),
        *(seconds(facts[name]) for name in ("model_s", "server_input_s", "server_output_s")),
        f"{seconds(facts['rest_s'])}, {facts['non_model_share']:.0%}",
        *(seconds(facts[name]) for name in ("non_model_non_file_s", "non_model_non_file_non_copy_s")),
        str(facts["windows"]),
        mebibytes(facts["peak_host_bytes"]),
        "" if device is None else mebibytes(device),
        *(times(facts[name], ours[name]) for name in ("seconds", "rest_s")),
        "" if equal is None else f"{equal:.2%}",
    ]


def chart_groups(case: str, sides: Mapping[str, dict[str, Any]]) -> dict[str, dict[str, float]]:
    """By what is measured, the seconds of the sides that ran; without zeros, which a logarithmic axis cannot show."""
    groups: dict[str, dict[str, float]] = {}
    for side, facts in sides.items():
        if "stages" not in facts:
            continue
        stages = {name: facts["stages"][name] for name in DRAWN_STAGES}
        for name, value in {"whole": facts["seconds"], **stages, "all but model": facts["rest_s"]}.items():
            if value > 0:
                groups.setdefault(f"{case}, {name}", {})[side] = value
    return groups


def _skip(result: Result, what: str) -> None:
    result.data.setdefault("skipped", []).append(what)
    result.notes.append(f"Left out: {what}.")


def _keep(result: Result, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    content = {"title": result.title, "unfinished": True, "notes": result.notes, **result.data}
    (folder / f"{result.name}.json").write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
