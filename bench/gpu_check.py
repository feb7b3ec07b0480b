"""The steps of gpu_check.sh, run in the unpacked bundle with the bundle's packages on sys.path.

Each step is tried whatever became of the others (one that needs a step that failed is skipped and says so); one JSON
file tells what happened: `ok`, the host, GPU, driver, versions, and per step seconds, outcome and what it measured.
"""

from __future__ import annotations

import argparse
import contextlib
import ctypes
import datetime
import importlib.metadata
import importlib.util
import json
import math
import os
import platform
import shutil
import subprocess
import sys
import sysconfig
import time
import venv
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
LIBPYTHON = "libpython3.12.so.1.0"
BENCHES = ("transports", "kernels", "volume", "whole", "cases")
STEP_LIMIT_S = 540.0
"""A step that takes longer is ended and counts as failed."""
FULL_LIMIT_S = 3600.0
"""The same for a bench in its full length, with --full."""

Outcome = dict[str, Any]


class Failed(Exception):
    """A step did not pass; the text says why."""


class Skipped(Exception):
    """A step could not be tried; the text says what it needs."""


class Check:
    def __init__(self, work: Path, rehearse: bool, full: bool) -> None:
        self.work = work
        self.rehearse = rehearse
        self.full = full
        self.cache = work / "cache"
        self.environment = os.environ | {"GPU_INFER_CACHE": str(self.cache)}
        self.environment.pop("GPU_INFER_KERNELS", None)
        self.steps: dict[str, Outcome] = {}

    def step(self, name: str, body: Callable[[], Outcome | None], needs: str | None = None) -> None:
        """Run one step and note what became of it; `needs` names a step that must have passed."""
        say(f"{name} …")
        started = time.monotonic()
        try:
            if needs is not None and self.steps[needs]["outcome"] != "passed":
                raise Skipped(f"needs the step {needs}")
            outcome: Outcome = {"outcome": "passed", **(body() or {})}
        except Skipped as reason:
            outcome = {"outcome": "skipped", "why": str(reason)}
        except Failed as reason:
            outcome = {"outcome": "failed", "why": str(reason)}
        except Exception as error:
            outcome = {"outcome": "failed", "why": f"{type(error).__name__}: {error}"}
        outcome["seconds"] = round(time.monotonic() - started, 2)
        self.steps[name] = outcome
        say(f"{name}: {outcome['outcome']} ({outcome['seconds']:.0f} s) {outcome.get('why', '')}")

    def call(
        self, *command: object, limit_s: float = STEP_LIMIT_S, **environment: str
    ) -> subprocess.CompletedProcess[str]:
        """Run Python with these arguments; Failed after `limit_s`."""
        try:
            return subprocess.run(
                [sys.executable, *map(str, command)],
                cwd=ROOT,
                env=self.environment | environment,
                capture_output=True,
                text=True,
                timeout=limit_s,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            raise Failed(f"not done after {error.timeout:.0f} s") from error

    # -- steps ------------------------------------------------------------------------------------------------
    def packages(self) -> Outcome:
        """Everything that the bundle expects of the host is there."""
        expected = json.loads((ROOT / "manifest.json").read_text())["expected"]
        names = {*importlib.metadata.packages_distributions(), *(d.name for d in importlib.metadata.distributions())}
        there = {name.lower().replace("_", "-") for name in names}
        # CuPy's distribution names its CUDA (cupy-cuda13x), onnxruntime's its device
        missing = [name for name in expected if not any(found.startswith(name) for found in there)]
        if self.rehearse:
            missing = [name for name in missing if name != "cupy"]
        if missing:
            raise Failed(f"this Python lacks {', '.join(missing)}: install them, or name another Python with PYTHON")
        return {}

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
        # -W default: a warning of one of the host's own packages is not ours to fail for
        options = ["-m", "gpu", "-q", "-W", "default", "-p", "no:cacheprovider", f"--junit-xml={xml}"]
        done = self.call("-m", "pytest", *options, *files)
        (self.work / "tests.log").write_text(done.stdout + done.stderr)
        if not xml.is_file():
            raise Failed(last_line(done))
        suite = ElementTree.parse(xml).getroot().find("testsuite")
        assert suite is not None
        counts = {name: int(suite.get(name, 0)) for name in ("tests", "failures", "errors", "skipped")}
        counts["passed"] = counts["tests"] - counts["failures"] - counts["errors"] - counts["skipped"]
        if self.rehearse:
            return counts
        if counts["failures"] or counts["errors"] or not counts["passed"]:
            bad = [f"{c.get('classname')}::{c.get('name')}" for c in suite if c.find("failure") is not None]
            raise Failed(f"{counts}: {' '.join(bad[:20])} {last_line(done)}")
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
        return {"folder": str(folder), "report": json.loads((folder / "logs" / "report.json").read_text())}

    def bench(self, name: str) -> Outcome:
        """One bench; its own JSON is the result."""
        if importlib.util.find_spec(f"bench.{name}") is None:
            raise Skipped("the bundle has no such bench")
        if name == "kernels" and self.rehearse:
            raise Skipped("a rehearsal without a GPU")
        options: list[object] = []
        if name == "cases":
            options = ["--device", "cpu" if self.rehearse else "gpu", *([] if self.full else ["--quick"])]
        elif name == "whole":
            options = ["--input", ROOT / "input"]
        path = ROOT / "bench" / "results" / f"{name}.json"
        path.unlink(missing_ok=True)
        done = self.call("-m", f"bench.{name}", *options, limit_s=FULL_LIMIT_S if self.full else STEP_LIMIT_S)
        (self.work / f"bench-{name}.log").write_text(done.stdout + done.stderr)
        if done.returncode:
            if "No module named" in done.stderr:
                raise Skipped(last_line(done))
            raise Failed(last_line(done))
        return {"result": json.loads(path.read_text())} if path.is_file() else {}


_DEVICE = """
import json, sys
from gpu_infer.backends.choose import choose_backend
from gpu_infer.backends.gpu_cupy import cupy
backend = choose_backend("gpu")
properties = cupy.cuda.runtime.getDeviceProperties(0)
print(json.dumps({
    "device": properties["name"].decode(),
    "compute_capability": f"{properties['major']}.{properties['minor']}",
    "memory_bytes": properties["totalGlobalMem"],
    "cuda_runtime": cupy.cuda.runtime.runtimeGetVersion(),
    "cuda_driver": cupy.cuda.runtime.driverGetVersion(),
    "nvrtc": list(cupy.cuda.nvrtc.getVersion()),
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


def facts() -> Outcome:
    """The host, in the words of its own tools."""
    query = "name,uuid,driver_version,memory.total,mig.mode.current,persistence_mode,clocks.max.mem,power.limit"
    gpu = None
    if smi := shutil.which("nvidia-smi"):
        done = subprocess.run([smi, f"--query-gpu={query}", "--format=csv,noheader"], capture_output=True, text=True)
        rows = [line.split(", ") for line in done.stdout.splitlines() if line]
        gpu = [dict(zip(query.split(","), row, strict=False)) for row in rows]
    names = ("gpu-infer", "numpy", "numba", "tritonclient", "grpcio", "protobuf", "onnxruntime", "cucim", "SimpleITK")
    versions = {d.name: d.version for d in importlib.metadata.distributions() if d.name.startswith(("cupy", "cucim"))}
    for name in names:
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    manifest = json.loads((ROOT / "manifest.json").read_text())
    return {
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "revision": manifest["revision"],
        "gpu": gpu,
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "cpus": len(os.sched_getaffinity(0)),
        "python": platform.python_version(),
        "versions": versions,
    }


def last_line(done: subprocess.CompletedProcess[str]) -> str:
    lines = [line for line in (done.stdout + "\n" + done.stderr).splitlines() if line.strip()]
    return lines[-1].strip() if lines else f"exit code {done.returncode} without a word"


def say(text: str) -> None:
    sys.stdout.write(f"gpu_check: {text}\n")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--results", type=Path, required=True)
    parser.add_argument("--rehearse", action="store_true")
    parser.add_argument("--full", action="store_true")
    parser.add_argument("--benches", default=",".join(BENCHES))
    arguments = parser.parse_args()
    sys.path.insert(0, str(ROOT))
    check = Check(arguments.work, arguments.rehearse, arguments.full)
    check.step("packages", check.packages)
    check.step("device", check.device)
    check.step("triton", check.triton)
    check.step("tests", check.tests, needs=None if check.rehearse else "device")
    check.step("job", check.job, needs="triton")
    for name in filter(None, arguments.benches.split(",")):
        check.step(f"bench.{name}", lambda name=name: check.bench(name), needs="triton")  # type: ignore[misc]
    must = ("packages", "triton", "job") if check.rehearse else ("packages", "device", "triton", "tests", "job")
    failed = [
        name
        for name, step in check.steps.items()
        if step["outcome"] == "failed" or (name in must and step["outcome"] != "passed")
    ]
    content = {"ok": not failed, "failed": failed, "rehearsal": check.rehearse, **facts(), "steps": check.steps}
    partial = arguments.results.with_suffix(".part")
    partial.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n")
    partial.replace(arguments.results)
    say(f"{'all passed' if not failed else 'FAILED: ' + ', '.join(failed)}; results in {arguments.results}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
