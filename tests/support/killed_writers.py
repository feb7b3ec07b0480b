"""Kill processes that write a run's files: at random moments, or at every step that changes a folder.

python tests/support/killed_writers.py FOLDER --moments 200 --seed 1: prints one JSON line with all failures. A round
writes two label maps, publishes and draws a preview over those of an older round, dies, and is cleaned up.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import resource
import shutil
import signal
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from output_checks import check_all_outputs

from gpu_infer.choices import Format
from gpu_infer.cli.main import guarded
from gpu_infer.doctor.folders import check_unfinished
from gpu_infer.system.resources import resource_folder
from gpu_infer.volume.geometry import Geometry
from gpu_infer.volume.volume import Volume
from gpu_infer.writers import preview
from gpu_infer.writers.header_fields import read_fields
from gpu_infer.writers.label_maps import LabelMap, write_label_maps
from gpu_infer.writers.nifti import write_nifti
from gpu_infer.writers.preview import write_preview
from gpu_infer.writers.publish import publish

SIGNALS = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT)
STEPS = {"os.rename", "os.remove", "os.rmdir", "os.mkdir"}
"""Audit events of changes of a folder; new files appear in hidden folders only."""

FIELDS = ("lung", "liver")
FORMATS: tuple[Format, ...] = ("mhd", "nii.gz")
SETTINGS = resource_folder("config") / "config_render.json"


class Case:
    """An input, and folders for the results of a run."""

    def __init__(self, root: Path, size: int, *, into_input: bool) -> None:
        self.output = root / "output"
        self.publish = root / "input" if into_input else root / "publish"
        self.output.mkdir(parents=True)
        self.grid = Geometry((size, size, size), np.eye(4))
        image = Volume(np.zeros((1, size, size, size), np.int16), self.grid, root / "ct.nii", "nifti")
        path = write_nifti(image, root / "input", "ct.nii.gz")
        self.volume = Volume(image.data, self.grid, path, "nifti", files=(path,))
        self.input = (path.read_bytes(), path.stat().st_ino)

    def write(self, value: int) -> None:
        """Do what a run does before and after the inference; every label is `value`."""
        check_all_outputs(self.volume, FIELDS, self.output, self.publish, SETTINGS, preview=True, formats=FORMATS)
        labels = np.full(self.grid.shape[::-1], value, np.uint8).transpose(2, 1, 0)
        maps = dict.fromkeys(FIELDS, LabelMap(labels, "uint8", FORMATS))
        written = write_label_maps(maps, self.grid, self.output, "ct")
        masks = [files["mhd"][0] for files in written.values()]
        publish(self.volume, masks, f"model {value}", self.publish, SETTINGS)
        write_preview(self.volume, labels, self.output / "ct.preview.png")

    def check_visible(self) -> list[str]:
        """List faults that a reader sees before cleaning: a label map is complete, or has no header."""
        label_values, wrong = set(), []
        for folder in (self.output, self.publish):
            for header in folder.glob("*.mhd"):
                fields = read_fields(header)
                voxels = folder / fields["ElementDataFile"] if fields else header
                content = voxels.read_bytes() if voxels.exists() else b""
                values = set(np.frombuffer(content, np.uint8))
                if fields is None or len(values) != 1:
                    wrong.append(f"{header}: {len(content)} bytes of {values}")
                if folder == self.output:
                    label_values.add(tuple(sorted(values)))
        for file in self.output.glob("*.nii.gz"):
            label_values.add(tuple(np.unique(nib.load(file).dataobj)))
        if len(label_values) > 1:
            wrong.append(f"label maps of two runs: {label_values}")
        if (self.volume.path.read_bytes(), self.volume.path.stat().st_ino) != self.input:
            wrong.append("the input is another file")
        return wrong

    def clean(self) -> None:
        for folder in (self.output, self.publish):
            check_unfinished("output", folder, clean=True)

    def check_cleaned(self, expected: set[str]) -> list[str]:
        """List faults after cleaning: there are the files of one complete run, old or new, and no others."""
        wrong = self.check_visible()
        if self.files() != expected:
            wrong.append(f"files: {sorted(self.files() ^ expected)}")
        elif (named := json.loads((self.publish / "config.meta").read_bytes())["seg_masks"]) != [
            f"ct.{field}.out.mhd" for field in FIELDS
        ]:
            wrong.append(f"config.meta: {named}")
        return wrong

    def files(self) -> set[str]:
        return {f"{folder.name}/{path.name}" for folder in (self.output, self.publish) for path in folder.iterdir()}


def in_child(body: Callable[[], Any], during: Callable[[int], Any] = lambda _pid: None) -> int:
    """Run `body` in a forked process as the command line would; its exit status. `during` gets the child's pid."""
    pid = os.fork()
    if pid == 0:
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, 1)
        os.dup2(null, 2)
        os._exit(guarded(body) & 0xFF)
    during(pid)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def die_at(step: int) -> None:
    """Kill this process (SIGKILL) directly before its change number `step` of a folder."""
    count = 0

    def hook(event: str, _arguments: Any) -> None:
        nonlocal count
        if event in STEPS:
            count += 1
            if count > step:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(hook)


def at_random_moments(root: Path, moments: int, seed: int, size: int) -> dict[str, Any]:
    """Kill `moments` runs; count their ends by signal and exit code, and list the faults after each."""
    chance = random.Random(seed)
    ends: Counter[str] = Counter()
    wrong: list[str] = []
    case = Case(root / "usual", size, into_input=False)
    began = time.perf_counter()
    in_child(lambda: case.write(2))
    usual = time.perf_counter() - began
    for turn in range(moments):
        folder = root / str(turn)
        case = Case(folder, size, into_input=turn % 2 == 1)
        case.write(1)
        expected = case.files()
        delay = chance.random() * 1.1 * usual
        number = chance.choice(SIGNALS)

        def kill(pid: int, delay: float = delay, number: int = number) -> None:
            time.sleep(delay)
            os.kill(pid, number)

        code = in_child(lambda case=case: case.write(3), kill)
        ends[f"{signal.Signals(number).name} {code}"] += 1
        problems = case.check_visible()
        case.clean()
        problems += case.check_cleaned(expected)
        wrong += [f"moment {turn} ({number} after {delay:.3f} s, code {code}): {problem}" for problem in problems]
        shutil.rmtree(folder)
    return {"moments": moments, "ends": dict(sorted(ends.items())), "wrong": wrong}


def at_every_step(root: Path, *, into_input: bool, first: int = 0, every: int = 1) -> dict[str, Any]:
    """Kill a run before each change of a folder, and cleaning at its first ones; count steps and list faults."""
    preview._PANEL = 32  # pixels: drawing is most of a round's time, and no step of it
    wrong: list[str] = []
    step, code = first, -int(signal.SIGKILL)
    while code != 0:
        case = Case(root / str(step), 8, into_input=into_input)
        case.write(1)
        expected = case.files()

        def die_writing(case: Case = case, step: int = step) -> None:
            die_at(step)
            case.write(2)

        code = in_child(die_writing)
        problems = case.check_visible()
        cleaning = 0
        while problems == [] and cleaning < 100:

            def die_cleaning(case: Case = case, cleaning: int = cleaning) -> None:
                die_at(cleaning % 4)
                case.clean()

            if in_child(die_cleaning) == 0:
                break
            problems += case.check_visible()
            cleaning += 1
        problems += case.check_cleaned(expected)
        case.write(3)
        problems += case.check_cleaned(expected)
        wrong += [f"step {step}, code {code}: {problem}" for problem in problems]
        shutil.rmtree(root / str(step))
        step += every
    return {"steps": step - every - first, "wrong": wrong}


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("--moments", type=int, default=200, help="0: at every step instead")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--size", type=int, default=48, help="voxels along each axis")
    parser.add_argument("--every", type=int, default=1, help="at every step: only each of this many, from --seed on")
    parser.add_argument("--into-input", action="store_true", help="at every step: publish into the input's folder")
    options = parser.parse_args()
    if options.moments:
        result = at_random_moments(options.folder, options.moments, options.seed, options.size)
    else:
        result = at_every_step(
            options.folder, into_input=options.into_input, first=options.seed % options.every, every=options.every
        )
    sys.stdout.write(json.dumps(result) + "\n")
    return 1 if result["wrong"] else 0


if __name__ == "__main__":
    sys.exit(main())
