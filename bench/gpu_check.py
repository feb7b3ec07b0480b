"""The steps of gpu_check.sh, run in the unpacked bundle with the bundle's packages on sys.path.

Each step is tried whatever became of the others (one that needs a step that failed is skipped and says so). The JSON of
results is written anew after each: `ok`, the host, GPU, driver, versions, and per step seconds, outcome and what it
measured, or the end of its output where it failed.
"""

from __future__ import annotations

import argparse
import contextlib
import ctypes
import importlib.util
import json
import math
import os
import shutil
import subprocess
import sys
import sysconfig
import venv
import xml.etree.ElementTree as ElementTree
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from bench import gpu_host
from bench.gpu_steps import STEPS, Failed, Outcome, Runner, Skipped, chosen, last_line, say

ROOT = Path(__file__).resolve().parents[1]
LIBPYTHON = "libpython3.12.so.1.0"
REHEARSED = frozenset({"device", "tests"})
"""Steps that nothing needs to have passed in a rehearsal without a GPU."""
FULL_LIMIT_S = 3600.0
"""Limit of a bench in its full length, with --full."""


class Check(Runner):
    """The steps' bodies."""

    def __init__(self, names: Sequence[str], work: Path, results: Path, facts: Outcome, **options: Any) -> None:
        self.rehearse = bool(options.pop("rehearse"))
        self.full = bool(options.pop("full"))
        super().__init__(names, work, results, facts, waived=REHEARSED if self.rehearse else frozenset(), **options)
        self.work = work
        self.cache = work / "cache"
        self.environment["GPU_INFER_CACHE"] = str(self.cache)
        self.environment.pop("GPU_INFER_KERNELS", None)

    # -- steps ------------------------------------------------------------------------------------------------
    def packages(self) -> Outcome:
        """Everything that the bundle expects of the host is there, new enough, and can be imported."""
        expected = set(json.loads((ROOT / "manifest.json").read_text())["expected"])
        if self.rehearse:
            expected.discard("cupy")
        lines = gpu_host.shortcomings(expected, gpu_host.installed(), gpu_host.least_versions())
        modules = [module for name, module in gpu_host.MODULES.items() if name in expected]
        done = self.call("-c", gpu_host.IMPORTS, *modules, "tritonclient.grpc", "tritonclient.http")
        if done.returncode:
            raise Failed("; ".join([*lines, last_line(done)]))
        lines += [f"{name} does not work here: {error}" for name, error in json.loads(done.stdout).items()]
        if lines:
            raise Failed(f"{'; '.join(lines)} (or name another Python with PYTHON)")
        return {"least": gpu_host.least_versions()}

    def device(self) -> Outcome:
        """CuPy sees a device, and compiles every kernel for it."""
        if self.rehearse:
            raise Skipped("a rehearsal without a GPU")
        done = self.call("-c", _DEVICE)
        if done.returncode:
            raise Failed(last_line(done))
        return dict(json.loads(done.stdout))

    def triton(self) -> Outcome:
        """The bundle's tritonserver starts, and its Python backend answers."""
        folder = self.cache / "triton-2.51-py3.12"
        if not (folder / "complete.json").is_file():
            install_triton(folder)
        done = self.call("-c", _SERVER, ROOT / "tests" / "models")
        if done.returncode:
            raise Failed(last_line(done))
        return {"libpython": json.loads((folder / "complete.json").read_text())["libraries"], **json.loads(done.stdout)}

    def tests(self) -> Outcome:
        """`pytest -m gpu` over the test files that have such tests."""
        files = [path for path in sorted((ROOT / "tests").rglob("test_*.py")) if "mark.gpu" in path.read_text()]
        if not files:
            raise Failed("the bundle has no tests marked gpu")
        xml = self.work / "tests.xml"
        xml.unlink(missing_ok=True)
        # -W default: a warning of one of the host's own packages is not ours to fail for
        options = ["-m", "gpu", "-v", "-rfE", "--tb=short", "-W", "default", "-p", "no:cacheprovider"]
        try:
            done = self.call("-m", "pytest", *options, f"--junit-xml={xml}", *files)
        finally:
            if failing := not_passed(self.printed()):
                self.found["failing"] = failing
        if not xml.is_file():
            raise Failed(last_line(done))
        suite = ElementTree.parse(xml).getroot().find("testsuite")
        assert suite is not None
        counts = {name: int(suite.get(name, 0)) for name in ("tests", "failures", "errors", "skipped")}
        counts["passed"] = counts["tests"] - counts["failures"] - counts["errors"] - counts["skipped"]
        if self.rehearse:
            return counts
        if counts["failures"] or counts["errors"] or not counts["passed"]:
            self.found |= counts
            raise Failed(f"{counts}: {last_line(done)}")
        return counts

    def job(self) -> Outcome:
        """The main job on the demo's CT, without any way back from the fastest transport; then the same on the CPU."""
        device, data = ("cpu", "system_shm") if self.rehearse else ("gpu", "cuda_shm")
        first = self._run("first", device, data)
        second = self._run("second", device, data)
        if not self.rehearse:
            for name, run in (("first", first), ("second", second)):
                if wrong := unlike_promised(run["report"], Path(run["folder"], "lung2_image.raw").stat().st_size):
                    raise Failed(f"the {name} run: {wrong}")
        reference = self._run("reference", "cpu", "system_shm")
        labels, expected = (Path(run["folder"], "lung2_image.raw").read_bytes() for run in (first, reference))
        if len(labels) != len(expected):
            raise Failed(f"{len(labels)} bytes of labels on the {device}, {len(expected)} on the CPU")
        differing = sum(a != b for a, b in zip(labels, expected, strict=True)) if labels != expected else 0
        if differing > len(labels) // 10_000:
            raise Failed(f"{differing} of {len(labels)} voxels differ between the {device} and the CPU")
        if labels.count(1) < len(labels) // 100:
            raise Failed("the run found no lung")
        return {"voxels_that_differ_from_cpu": differing, "first": first, "second": second, "reference": reference}

    def _run(self, name: str, device: str, data: str) -> Outcome:
        folder = self.work / "job" / name
        options = ["--triton", "local", "--device", device, "--require", data, "--publish", ""]
        folders = ["--input", ROOT / "input", "--output", folder, "--logs", folder / "logs"]
        done = self.call("-m", "gpu_infer", "run", *options, *folders)
        if done.returncode:
            raise Failed(f"exit code {done.returncode}: {last_line(done)}")
        self.found[name] = {
            "folder": str(folder),
            "report": json.loads((folder / "logs" / "report.json").read_text()),
        }
        return dict(self.found[name])

    def bench(self, name: str) -> Outcome:
        """One bench; its own JSON is the result."""
        if importlib.util.find_spec(f"bench.{name}") is None:
            raise Skipped("the bundle has no such bench")
        if name == "kernels" and self.rehearse:
            raise Skipped("a rehearsal without a GPU")
        options: list[object] = []
        if name == "volume":
            options = ["--device", "cpu" if self.rehearse else "gpu", *([] if self.full else ["--quick"])]
        elif name == "whole":
            options = ["--input", ROOT / "input"]
        path = ROOT / "bench" / "results" / f"{name}.json"
        path.unlink(missing_ok=True)
        try:
            done = self.call("-m", f"bench.{name}", *options)
        finally:
            with contextlib.suppress(OSError, ValueError):  # some write what they have as they go
                self.found["result"] = json.loads(path.read_text())
        if done.returncode:
            if "No module named" in done.stderr:
                raise Skipped(last_line(done))
            raise Failed(last_line(done))
        return dict(self.found)


_DEVICE = """
import json, sys, time
from gpu_infer.backends.choose import choose_backend
from gpu_infer.backends.gpu_cupy import cupy
backend = choose_backend("gpu")
started = time.monotonic()
backend.warm_up()
spent = time.monotonic() - started
properties = cupy.cuda.runtime.getDeviceProperties(0)
print(json.dumps({
    "device": properties["name"].decode(),
    "compute_capability": f"{properties['major']}.{properties['minor']}",
    "memory_bytes": properties["totalGlobalMem"],
    "cuda_runtime": cupy.cuda.runtime.runtimeGetVersion(),
    "cuda_driver": cupy.cuda.runtime.driverGetVersion(),
    "nvrtc": list(cupy.cuda.nvrtc.getVersion()),
    "kernels_loaded_s": round(spent, 2),
    **{name: backend.counters()[name] for name in ("kernels_compiled", "modules_loaded")},
}))
"""

# A model's answer has to come back as it is: a stub that does not fit NumPy returns empty tensors without an error.
_SERVER = """
import json, sys, time
from pathlib import Path
import numpy as np, tritonclient.grpc as triton
from gpu_infer.triton.local.serve import LocalServer
started = time.monotonic()
with LocalServer(Path(sys.argv[1])) as server:
    ready = time.monotonic() - started
    x = np.linspace(0, 1, 4 * 16 ** 3, dtype=np.float32).reshape(1, 1, 16, 32, 32)
    asked = triton.InferInput("NV_MODEL_INPUT", x.shape, "FP32")
    asked.set_data_from_numpy(x)
    with triton.InferenceServerClient(server.grpc) as client:
        version = client.get_server_metadata().version
        answer = client.infer("threshold_half", [asked]).as_numpy("NV_MODEL_OUTPUT")
assert answer is not None and answer.shape == (1, 2, 16, 32, 32), f"answered with {getattr(answer, 'shape', None)}"
assert (answer[:, 1:] == x).all(), "the model's answer is not what it computed"
print(json.dumps({"version": version, "ready_s": round(ready, 2)}))
"""


def not_passed(lines: Sequence[str]) -> list[str]:
    """pytest's short summary of failures; of a run that was ended, its lines of those tests."""
    short = [line for line in lines if line.startswith(("FAILED ", "ERROR "))]
    return short or [line for line in lines if "::" in line and (" FAILED" in line or " ERROR" in line)]


def unlike_promised(report: Outcome, label_bytes: int) -> str:
    """What a run on the GPU did otherwise than promised: volume up, labels down, no more. Empty where all is so."""
    import numpy as np  # not before the step that finds it missing

    stored = report["input"]
    volume_bytes = math.prod(stored["shape"]) * stored["channels"] * np.dtype(stored["dtype"]).itemsize
    counted = report["gpu"]
    promised = {
        "bytes_up": (counted["bytes_up"], volume_bytes),
        "bytes_down": (counted["bytes_down"], label_bytes),
        "tile_bytes_up": (counted["tile_bytes_up"], 0),
        "tile_bytes_down": (counted["tile_bytes_down"], 0),
        "data": (report["triton"]["data"], "cuda_shm"),
    }
    return "; ".join(f"{name} is {is_}, promised {due}" for name, (is_, due) in promised.items() if is_ != due)


def install_triton(folder: Path) -> None:
    """The bundle's server as `gpu_infer.triton.local` expects it, with the packages of this Python for its models."""
    python, libraries = _python_for_the_stub()
    shutil.rmtree(folder, ignore_errors=True)
    if python is None:
        venv.EnvBuilder(symlinks=True, with_pip=False).create(folder)
    else:
        subprocess.run([python, "-I", "-m", "venv", "--without-pip", folder], check=True)
    packages = folder / "lib" / "python3.12" / "site-packages"
    for part in ("nvidia_pytriton.libs", "pytriton"):
        shutil.copytree(ROOT / "triton" / part, packages / part, symlinks=True)
    # appended to the path and nothing more: .pth files in those folders are not read
    named = ("site-packages", "dist-packages")
    theirs = [path for path in dict.fromkeys(map(os.path.realpath, sys.path)) if path.endswith(named)]
    (packages / "host.pth").write_text("".join(f"{path}\n" for path in theirs))
    manifest = json.loads((ROOT / "manifest.json").read_text())
    marker = {
        "requirements": manifest["requirements"],
        "site_packages": str(packages),
        "libraries": [str(path) for path in libraries],
    }
    (folder / "complete.json").write_text(json.dumps(marker, indent=2))


def _python_for_the_stub() -> tuple[Path | None, list[Path]]:
    """(Python whose standard library the stub uses, None for this one; folders with libpython)."""
    places = [sysconfig.get_config_var("LIBDIR"), f"{sys.base_prefix}/lib", "/usr/lib/x86_64-linux-gnu", "/usr/lib64"]
    for place in filter(None, places):
        if Path(place, LIBPYTHON).is_file():
            return None, [Path(place)]
    with contextlib.suppress(OSError):
        ctypes.CDLL(LIBPYTHON)  # where the loader finds it, which may be the run path of this Python alone
        maps = Path("/proc/self/maps").read_text().splitlines()
        return None, [Path(next(line for line in maps if line.endswith(LIBPYTHON)).split()[-1]).parent]
    own = ROOT / "python"
    if not (own / "lib" / LIBPYTHON).is_file():
        raise Failed(
            f"{LIBPYTHON} not found in {', '.join(filter(None, places))}, and the bundle carries none: Triton's Python "
            "backend links to it; install libpython3.12 (Debian, Ubuntu) or use a Python built with --enable-shared"
        )
    os.environ["LD_LIBRARY_PATH"] = f"{own / 'lib'}:{os.environ.get('LD_LIBRARY_PATH', '')}".rstrip(":")
    return own / "bin" / "python3", [own / "lib"]


def main() -> int:
    parser = argparse.ArgumentParser(prog="gpu_check.sh", description=__doc__)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--results", type=Path, required=True)
    parser.add_argument("--rehearse", action="store_true")
    parser.add_argument("--full", action="store_true")
    parser.add_argument("--steps", help=f"of {', '.join(STEPS)}; default all")
    parser.add_argument("--patience", type=float, default=1.0, help="every step's limit times this")
    arguments = parser.parse_args()
    try:
        names = chosen(arguments.steps)
    except ValueError as error:
        parser.error(str(error))
    facts = {
        "rehearsal": arguments.rehearse,
        "revision": json.loads((ROOT / "manifest.json").read_text())["revision"],
        **gpu_host.facts(),
    }
    check = Check(
        names,
        arguments.work,
        arguments.results,
        facts,
        rehearse=arguments.rehearse,
        full=arguments.full,
        patience=arguments.patience,
    )
    for name in ("packages", "device", "triton", "tests", "job"):
        check.step(name, getattr(check, name))
    for name in (name for name in STEPS if name.startswith("bench.")):
        bench = name.removeprefix("bench.")
        check.step(name, partial(check.bench, bench), limit_s=FULL_LIMIT_S if arguments.full else None)
    say(f"{check.summary()}; results in {arguments.results}")
    return 1 if check.failed() else 0


if __name__ == "__main__":
    sys.exit(main())
