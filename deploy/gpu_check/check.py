"""The steps of gpu_check.sh, run in the unpacked bundle with the bundle's packages on sys.path.

Each step runs whatever the outcome of the others, except a step that needs one that failed: it is skipped with the
reason. The JSON of results is written again after each step: `ok`, the host, GPU, driver, versions, and per step
seconds, outcome and measurements, or the end of the output of a failed one.
"""

from __future__ import annotations

import contextlib
import importlib.util
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from deploy.gpu_check import host as gpu_host
from deploy.gpu_check import profilers as gpu_profilers
from deploy.gpu_check import verdicts as gpu_verdicts
from deploy.gpu_check.context import IdleContext
from deploy.gpu_check.programs import DEVICE, NVRTC, SERVER
from deploy.gpu_check.runner import Failed, Outcome, Runner, Skipped, last_line
from deploy.gpu_check.steps import Choice
from deploy.gpu_check.triton import FOLDER, install_triton

ROOT = Path(__file__).resolve().parents[2]
REHEARSED = frozenset({"device", "tests"})
"""Steps that need not pass in a rehearsal without a GPU."""
REHEARSED_GIB = 1
MODELS_ON_DEVICE = ("transports", "volume")
"""Benches whose models must compute on the GPU of a GPU host."""
NEED_DEVICE = ("kernels", "uploads")
"""Benches without rows for a host without a GPU."""
_NO_DEVICE = "a rehearsal without a GPU"
_COUNTERS_FORBIDDEN = "ERR_NVGPUCTRPERM"


class Check(Runner):
    """The steps' bodies.

    rehearse  broken promises about the GPU are no failure; without a device the CPU replaces it
    devices   CUDA devices that the driver counts
    full      bench.volume with all its cases
    """

    def __init__(
        self,
        choice: Choice,
        work: Path,
        results: Path,
        facts: Outcome,
        *,
        rehearse: bool,
        devices: int = 0,
        full: bool = False,
        **options: Any,
    ) -> None:
        self.rehearse = rehearse
        self.on_device = devices > 0 or not rehearse
        self.full = full
        super().__init__(choice, work, results, facts, waived=frozenset() if self.on_device else REHEARSED, **options)
        self.work = work
        self.cache = work / "cache"
        self.context = IdleContext()
        self.environment["GPU_INFER_CACHE"] = str(self.cache)
        self.environment.pop("GPU_INFER_KERNELS", None)

    @property
    def bodies(self) -> dict[str, Callable[[], Outcome]]:
        """The steps that are no benches, by name."""
        return {
            "memory": self.memory,
            "packages": self.packages,
            "device": self.device,
            "triton": self.triton,
            "tests": self.tests,
            "job": self.job,
            "sanitizer": self.sanitizer,
            "counters": self.counters,
        }

    # -- steps ------------------------------------------------------------------------------------------------
    def memory(self) -> Outcome:
        """Touch the host's memory once, so that a host that grows has grown before the measurements."""
        target = ["--gib", REHEARSED_GIB] if self.rehearse else []
        done = self.call("-m", "deploy.gpu_check.memory", *target, "--seconds", max(1.0, self.seconds_left() - 8))
        if done.returncode:
            raise Failed(last_line(done))
        return dict(json.loads(last_line(done)))

    def packages(self) -> Outcome:
        """Every package that the bundle expects on the host is installed, new enough, and can be imported."""
        expected = set(json.loads((ROOT / "manifest.json").read_text(encoding="utf-8"))["expected"])
        if not self.on_device:
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
        if not self.on_device:
            raise Skipped(_NO_DEVICE)
        context = self.hold_context()
        done = self.call("-c", DEVICE)
        if done.returncode:
            raise Failed(last_line(done))
        return {**context, **json.loads(last_line(done))}

    def hold_context(self) -> Outcome:
        """Start the idle process whose context lives until the check ends; seconds, or the reason for none."""
        return self.context.start(self.environment, timeout_s=30.0)

    def triton(self) -> Outcome:
        """The bundle's tritonserver starts, and its Python backend answers."""
        folder = self.cache / FOLDER
        if not (folder / "complete.json").is_file():
            install_triton(folder, ROOT)
        done = self.call("-c", SERVER, ROOT / "tests" / "models")
        if done.returncode:
            raise Failed(last_line(done))
        libraries = json.loads((folder / "complete.json").read_text(encoding="utf-8"))["libraries"]
        return {"libraries": libraries, "nvrtc": self._server_nvrtc(folder, libraries), **json.loads(last_line(done))}

    def _server_nvrtc(self, folder: Path, libraries: list[str]) -> list[int] | None:
        """Version of the NVRTC that the server's models compile with; None without CuPy."""
        paths = ":".join([*libraries, self.environment.get("LD_LIBRARY_PATH", "")]).rstrip(":")
        done = self.run([str(folder / "bin" / "python3"), "-I", "-c", NVRTC], LD_LIBRARY_PATH=paths)
        if done.returncode == 0:
            return list(json.loads(last_line(done)))
        if self.on_device:
            raise Failed(f"CuPy in the server's environment finds no NVRTC: {last_line(done)}")
        return None

    def tests(self) -> Outcome:
        """`pytest -m gpu` over the test files that have such tests."""
        files = [
            path
            for path in sorted((ROOT / "tests").rglob("test_*.py"))
            if "mark.gpu" in path.read_text(encoding="utf-8")
        ]
        if not files:
            raise Failed("the bundle has no tests marked gpu")
        xml = self.work / "tests.xml"
        xml.unlink(missing_ok=True)
        # -W default: a warning of one of the host's packages is no failure
        options = ["-m", "gpu", "-v", "-rfEs", "--tb=short", "-W", "default", "-p", "no:cacheprovider"]
        try:
            done = self.call("-m", "pytest", *options, f"--junit-xml={xml}", *files)
        finally:
            if failing := gpu_verdicts.failing_tests(self.printed()):
                self.measured["failing"] = failing
        if not xml.is_file():
            raise Failed(last_line(done))
        counts = gpu_verdicts.test_counts(xml)
        if not self.on_device:
            return counts
        self.measured |= counts
        if counts["failures"] or counts["errors"] or not counts["passed"]:
            raise Failed(f"{counts}: {last_line(done)}")
        if skipped := gpu_verdicts.skipped_tests(xml):
            self.measured["skipped_tests"] = skipped
            if not self.rehearse:
                name, reason = next(iter(skipped.items()))
                raise Failed(f"{len(skipped)} tests skipped that a GPU host must run: {name}: {reason}")
        return dict(self.measured)

    def job(self) -> Outcome:
        """The main job on the demo's CT, without any fallback from the fastest transport; then the same on the CPU."""
        first, second = (self._run(name, "gpu" if self.on_device else "cpu") for name in ("first", "second"))
        if self.on_device:
            for name, run in (("first", first), ("second", second)):
                self._judge_job(name, run)
        reference = self._run("reference", "cpu")
        labels, expected = (Path(run["folder"], "lung2_image.raw").read_bytes() for run in (first, reference))
        if len(labels) != len(expected):
            raise Failed(f"{len(labels)} bytes of labels on the {first['device']}, {len(expected)} on the CPU")
        differing = sum(a != b for a, b in zip(labels, expected, strict=True)) if labels != expected else 0
        if differing > len(labels) // 10_000:
            raise Failed(f"{differing} of {len(labels)} voxels differ between the {first['device']} and the CPU")
        if labels.count(1) < len(labels) // 100:
            raise Failed("the run found no lung")
        return {"voxels_that_differ_from_cpu": differing, **self.measured}

    def _judge_job(self, name: str, run: Outcome) -> None:
        """Failed for a broken promise and for a memory fallback; a rehearsal only records them."""
        broken = gpu_verdicts.broken_promises(run["report"], Path(run["folder"], "lung2_image.raw").stat().st_size)
        fallbacks = gpu_verdicts.memory_fallbacks(run["report"])
        if self.rehearse:
            run |= {"broken_promises": broken, "memory_fallbacks": fallbacks}
        elif broken:
            raise Failed(f"the {name} run: {broken}")
        elif fallbacks:
            raise Failed(f"the {name} run had too little memory for its plan and measures another one: {fallbacks}")

    def _run(self, name: str, device: str) -> Outcome:
        folder = self.work / "job" / name
        required = "system_shm" if device == "cpu" else "cuda_shm"
        transport = ["--data", "auto"] if device == "gpu" and self.rehearse else ["--require", required]
        options = ["--triton", "local", "--device", device, *transport, "--publish", ""]
        folders = ["--input", ROOT / "input", "--output", folder, "--logs", folder / "logs"]
        done = self.call("-m", "gpu_infer", "run", *options, *folders)
        if done.returncode:
            raise Failed(f"exit code {done.returncode}: {last_line(done)}")
        report = json.loads((folder / "logs" / "report.json").read_text(encoding="utf-8"))
        run: Outcome = {"folder": str(folder), "device": device, "report": report}
        self.measured[name] = run
        return run

    def bench(self, name: str, *options: object) -> Outcome:
        """One bench; its own JSON is the result."""
        if importlib.util.find_spec(f"bench.{name}") is None:
            raise Skipped("the bundle has no such bench")
        if name in NEED_DEVICE and not self.on_device:
            raise Skipped(_NO_DEVICE)
        if not options:
            options = self._bench_options(name)
        path = self.work / "bench" / f"{name}.json"
        path.unlink(missing_ok=True)
        try:
            done = self.call("-m", f"bench.{name}", *options, "--results", path.parent)
        finally:
            with contextlib.suppress(OSError, ValueError):  # some benches write intermediate results
                self.measured["result"] = json.loads(path.read_text(encoding="utf-8"))
        if done.returncode:
            if "No module named" in done.stderr:
                raise Skipped(last_line(done))
            raise Failed(last_line(done))
        if name in MODELS_ON_DEVICE and not self.rehearse:
            reason = gpu_verdicts.models_on_cpu(self.measured.get("result", {}))
            if reason is not None:
                raise Failed(f"the models did not compute on the GPU: {reason}")
        return dict(self.measured)

    def _bench_options(self, name: str) -> tuple[object, ...]:
        if name == "kernels" and self.rehearse:
            return ("--quick", "--repeats", "1", "--ramp", "0")
        if name == "files":
            return ("--no-memory",)  # it takes a process for each reader, and is no question to a GPU host
        if name == "uploads":
            return ("--quick", "--repeats", "1") if self.rehearse else ("--repeats", "5")
        if name == "volume":
            return ("--device", "gpu" if self.on_device else "cpu", *(() if self.full else ("--quick",)))
        return ("--input", ROOT / "input") if name == "whole" else ()

    def sanitizer(self) -> Outcome:
        """compute-sanitizer over tests of the contract: memcheck, then racecheck in the rest of the time."""
        tool = self._tool("compute-sanitizer")
        incomplete = []
        for check, share in (("memcheck", 0.5), ("racecheck", 1.0)):
            log = self.work / "logs" / f"sanitizer-{check}.log"
            log.unlink(missing_ok=True)
            command = gpu_profilers.sanitizer_command(tool, check, sys.executable, ROOT / "tests" / "contract", log)
            try:
                done = self.run(command, limit_s=share * self.seconds_left())
            except Failed:
                done = None
            findings = gpu_profilers.sanitizer_findings(
                log.read_text(errors="replace", encoding="utf-8") if log.exists() else ""
            )
            self.measured[check] = findings
            if findings["errors"]:
                first = findings["first"][0] if findings["first"] else f"in {log.name}"
                raise Failed(f"{check}: {findings['errors']} errors, the first: {first}")
            if done is None:
                incomplete.append(f"{check}: ended at its limit, without an error until then")
            elif done.returncode:
                raise Failed(f"{check}: {last_line(done)}")
        return {**self.measured, **({"incomplete": incomplete} if incomplete else {})}

    def counters(self) -> Outcome:
        """Nsight Compute's counters of every kernel of bench.kernels."""
        tool = self._tool("ncu")
        log = self.work / "logs" / "counters.csv"
        log.unlink(missing_ok=True)
        try:
            done = self.run(gpu_profilers.counters_command(tool, sys.executable, log), limit_s=self.seconds_left() - 4)
        except Failed:
            done = None
        lines = log.read_text(errors="replace", encoding="utf-8").splitlines() if log.exists() else []
        if any(_COUNTERS_FORBIDDEN in line for line in [*lines, *self.printed()]):
            raise Skipped(f"the driver forbids the counters ({_COUNTERS_FORBIDDEN})")
        self.measured["kernels"] = kernels = gpu_profilers.read_counters(lines)
        if not kernels:
            raise Failed("no counters within the step's time" if done is None else last_line(done))
        if done is not None and done.returncode:
            raise Failed(last_line(done))
        return {**self.measured, **({"incomplete": ["ended at its limit"]} if done is None else {})}

    def _tool(self, name: str) -> str:
        """A profiler that can be used here, or Skipped."""
        if self.rehearse:
            raise Skipped("a rehearsal: the tool needs a real GPU")
        if (tool := gpu_profilers.find_tool(name, path=self.environment.get("PATH"))) is None:
            places = ", ".join(f"/{pattern}" for pattern in gpu_profilers.FOLDERS)
            raise Skipped(f"no {name} on PATH or in {places}")
        return tool
