"""report.json: what ran, on what, with what, how long, and what came out."""

from __future__ import annotations

import hashlib
import json
import platform
import resource
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

from gpu_infer import __version__
from gpu_infer.redaction import redact, redact_all
from gpu_infer.system.atomic_file import replace_text

_PATHS = {"input", "output", "outputs", "published", "started", "versions"}
"""Keys of files and facts, which say what is on the disk; in every other one, a variable's name hides its value."""

PACKAGES = ("numpy", "numba", "SimpleITK", "nibabel", "pydicom", "tritonclient", "pydantic")


class Report:
    """Collects a run's facts; `data` is what is written."""

    def __init__(self) -> None:
        self.data: dict[str, Any] = {
            "status": "running",
            "started": datetime.now(UTC).isoformat(timespec="seconds"),
            "versions": versions(),
            "stages": {},
            "warnings": [],
        }
        self._began = time.perf_counter()
        self._hash: _FileHash | None = None

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Time a stage; a stage entered twice adds up."""
        began = time.perf_counter()
        try:
            yield
        finally:
            spent = time.perf_counter() - began
            self.data["stages"][name] = round(self.data["stages"].get(name, 0.0) + spent, 4)

    def warn(self, message: str) -> None:
        self.data["warnings"].append(message)

    def hash_files(self, files: Sequence[Path]) -> None:
        """Start hashing the input beside the work; the digest is collected when the report is written."""
        self._hash = _FileHash(files)
        self._hash.start()

    def finish(self, status: str, error: str | None = None) -> None:
        self.data["status"] = status
        if error is not None:
            self.data["error"] = redact(error)
        for key in self.data.keys() - _PATHS:
            self.data[key] = redact_all(self.data[key])
        self.data["seconds"] = round(time.perf_counter() - self._began, 4)
        self.data["peak_rss_bytes"] = peak_resident_bytes()
        if self._hash is not None:
            self.data.setdefault("input", {})["sha256"] = self._hash.digest(wait=status == "done")

    def write(self, folder: Path) -> Path:
        """Write report.json into `folder` (made if missing), whole or not at all. Raises OSError."""
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / "report.json"
        replace_text(path, json.dumps(self.data, indent=2, default=str) + "\n")
        return path


class _FileHash(threading.Thread):
    """sha256 over the bytes of the files in order; hashing lets go of the interpreter, so it costs no wall time."""

    def __init__(self, files: Sequence[Path]) -> None:
        super().__init__(daemon=True, name="input-hash")
        self._files = files
        self._digest: str | None = None

    def run(self) -> None:
        digest = hashlib.sha256()
        try:
            for path in self._files:
                with path.open("rb") as stream:
                    while block := stream.read(1 << 22):
                        digest.update(block)
        except OSError:
            return
        self._digest = digest.hexdigest()

    def digest(self, *, wait: bool) -> str | None:
        if wait:
            self.join()
        return self._digest


def versions() -> dict[str, str]:
    """This package, Python, the platform and the packages that shape the result."""
    found = {"gpu_infer": __version__, "python": platform.python_version(), "platform": platform.platform()}
    for name in PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            found[name] = "not installed"
    return found


def peak_resident_bytes() -> int:
    """The most memory that this process has held; `ru_maxrss` would start from the parent's."""
    for line in Path("/proc/self/status").read_text(encoding="ascii", errors="replace").splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def label_volumes(counts: Sequence[int], voxel_ml: float) -> dict[str, dict[str, float | int]]:
    """{label: {"voxels", "ml"}} of the labels that occur, background included."""
    return {
        str(label): {"voxels": int(count), "ml": round(int(count) * voxel_ml, 3)}
        for label, count in enumerate(counts)
        if count
    }
