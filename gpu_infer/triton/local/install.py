"""Install NVIDIA's tritonserver from PyPI into a separate virtual environment.

The wheel `nvidia-pytriton` carries `tritonserver` 2.51 with the Python backend. It needs NumPy 1 (under
NumPy 2 its stub returns empty outputs without an error), so it cannot share an environment with this package.
"""

from __future__ import annotations

import fcntl
import json
import logging
import platform
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from gpu_infer.errors import ConfigError, ResourceError, ServerError
from gpu_infer.system.cache import cache_folder
from gpu_infer.system.notices import NOTICE
from gpu_infer.triton.client.failures import one_line
from gpu_infer.triton.local.follow import OnLine, follow
from gpu_infer.triton.local.runtime import MARKER, TRITON_VERSION, Runtime, server_folder

log = logging.getLogger(__name__)

# NumPy 1.26 is the last series before 2 and has wheels for these versions of Python only.
PYTHONS = ("3.11", "3.12")
REQUIREMENTS = ("nvidia-pytriton==0.7.0", "numpy==1.26.4", "onnxruntime>=1.19,<2")
_OTHER_SERVER = "or start a Triton of your own and give --triton HOST:PORT"

_LAST_LINES = 3
_FULL = ("No space left on device", "Disk quota exceeded")  # ENOSPC and EDQUOT in pip's and venv's words

_FACTS = """
import json, sys, sysconfig, numpy, onnxruntime
print(json.dumps({
    "numpy": numpy.__version__,
    "onnxruntime": onnxruntime.__version__,
    "site_packages": sysconfig.get_path("purelib"),
    "libraries": [sysconfig.get_config_var("LIBDIR") or "", sys.base_prefix + "/lib"],
}))
"""


NEEDED_BYTES = 500 << 20
"""Space that an installation takes, in the cache folder and at times in the temporary folder."""


def environment_folder(cache: Path | None = None) -> Path:
    """Folder of the environment for this machine's Python, whether it is installed or not."""
    return cache_folder(cache) / f"triton-{TRITON_VERSION}-py{_version_of(base_python())}"


def installed(cache: Path | None = None) -> Runtime | None:
    """The installed environment, or None if there is no complete one."""
    return Runtime.load(environment_folder(cache), REQUIREMENTS)


def install(cache: Path | None = None, on_line: OnLine | None = None) -> Path:
    """Install the environment unless it is complete (about 450 MB), and return its folder.

    `on_line` gets each line that pip prints. Two processes may call this at once: one installs, the other waits.
    Raises ConfigError (platform, Python), ServerError (pip failed), ResourceError (disk).
    """
    check_platform()
    python = base_python()
    folder = environment_folder(cache)
    if Runtime.load(folder, REQUIREMENTS):
        return folder
    with _lock(folder.with_suffix(folder.suffix + ".lock")):
        if Runtime.load(folder, REQUIREMENTS):  # another process finished it during the wait
            return folder
        # An environment's scripts contain its absolute path, so it is built in place. The marker is written last: a
        # folder without it is incomplete.
        log.info("installing a local Triton (once, 450 MB from PyPI, a minute or more) into %s", folder, extra=NOTICE)
        try:
            if folder.exists():
                shutil.rmtree(folder)
            _build(python, folder, on_line or (lambda _line: None))
        except OSError as error:
            shutil.rmtree(folder, ignore_errors=True)
            raise ResourceError(
                f"{folder}: cannot install the local Triton: {error.strerror or error}",
                remedy=_remedy(),
            ) from error
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise
    return folder


def base_python() -> str:
    """The interpreter for the environment: the running one, else python3.12 or python3.11 from PATH."""
    running = f"{sys.version_info.major}.{sys.version_info.minor}"
    if running in PYTHONS:
        return sys.executable
    for version in reversed(PYTHONS):
        if program := shutil.which(f"python{version}"):
            return program
    raise ConfigError(
        f"the local Triton needs Python {' or '.join(PYTHONS)}, this is {running} and PATH has no other",
        remedy=f"install python{PYTHONS[0]}, {_OTHER_SERVER}",
    )


def _version_of(python: str) -> str:
    if python == sys.executable:
        return f"{sys.version_info.major}.{sys.version_info.minor}"
    return Path(python).name.removeprefix("python")


def check_platform() -> None:
    """Raise ConfigError on a platform for which there is no server."""
    if sys.platform != "linux" or platform.machine() != "x86_64":
        raise ConfigError(
            f"the local Triton runs on x86-64 Linux, this is {platform.machine()} {sys.platform}",
            remedy="start a Triton elsewhere and give --triton HOST:PORT",
        )


@contextmanager
def _lock(path: Path) -> Iterator[None]:
    with path.open("w", encoding="utf-8") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            log.info("waiting for another process that installs the local Triton", extra=NOTICE)
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def _build(python: str, folder: Path, on_line: OnLine) -> None:
    inner = folder / "bin" / "python"
    # In two steps: `venv` alone would hide the output of ensurepip, for example that the disk is full.
    steps = (
        [python, "-m", "venv", "--without-pip", str(folder)],
        [str(inner), "-I", "-m", "ensurepip", "--upgrade", "--default-pip"],
    )
    for step in steps:
        code, lines = follow(step, on_line)
        if code:
            _check_space(folder, lines)
            raise ConfigError(
                f"{python} cannot make a virtual environment in {folder}: {_last_error(lines)}",
                remedy="install the package python3-venv of your distribution",
            )
    pip = [str(inner), "-m", "pip", "install", "--no-input", "--disable-pip-version-check", "--prefer-binary"]
    code, lines = follow([*pip, *REQUIREMENTS], on_line)
    if code:
        _check_space(folder, lines)
        raise ServerError(
            f"pip could not install {REQUIREMENTS[0]}: {_last_error(lines)}",
            remedy=f"check the network and PIP_INDEX_URL, {_OTHER_SERVER}",
        )
    facts = json.loads(subprocess.run([inner, "-c", _FACTS], check=True, capture_output=True, encoding="utf-8").stdout)
    if int(facts["numpy"].split(".")[0]) >= 2:
        raise ServerError(
            f"{folder}: pip chose numpy {facts['numpy']}, but the Python backend's stub needs numpy < 2",
            remedy="remove constraints (PIP_CONSTRAINT) that ask for numpy 2",
        )
    _place_stub(Path(facts["site_packages"]), _version_of(python))
    runtime = Runtime(folder, Path(facts["site_packages"]), tuple(filter(None, facts["libraries"])))
    _check_libpython(runtime, inner, _version_of(python))
    marker = {**facts, "requirements": list(REQUIREMENTS), "triton": TRITON_VERSION}
    partial = folder / f"{MARKER}.part"
    partial.write_text(json.dumps(marker, indent=2, sort_keys=True) + "\n", encoding="utf-8")
    partial.replace(folder / MARKER)


def _place_stub(site_packages: Path, version: str) -> None:
    root = server_folder(site_packages)
    stub = root / "backends" / "python" / "triton_python_backend_stub"
    shutil.copyfile(root / "python_backend_stubs" / version / stub.name, stub)
    for program in (stub, root / "bin" / "tritonserver"):
        program.chmod(0o755)


def _check_libpython(runtime: Runtime, python: Path, version: str) -> None:
    library = f"libpython{version}.so.1.0"
    probe = [str(python), "-c", f"import ctypes; ctypes.CDLL({library!r})"]
    if subprocess.run(probe, env=runtime.environment(), capture_output=True).returncode:
        raise ConfigError(
            f"{library} not found in {', '.join(runtime.libraries)}: the Python backend links to it",
            remedy=f"install libpython{version} or use a Python built with --enable-shared",
        )


def _last_error(lines: Sequence[str]) -> str:
    """The last error that pip names, else the last lines."""
    texts = [line.strip() for line in lines if line.strip()]
    errors = [line for line in texts if line.startswith("ERROR")]
    return one_line(errors[-1] if errors else " | ".join(texts[-_LAST_LINES:]) or "it said nothing")


def _check_space(folder: Path, lines: Sequence[str]) -> None:
    """ResourceError if a step failed because the disk is full: its output says so, or no space is free now."""
    full = next((line for line in reversed(lines) if any(words in line for words in _FULL)), None)
    if full is None and shutil.disk_usage(folder.parent).free:
        return
    raise ResourceError(
        f"{folder}: no space left for the local Triton: {_last_error([full] if full else lines)}", remedy=_remedy()
    )


def _remedy() -> str:
    return f"free about 500 MB there and in {tempfile.gettempdir()}, or point GPU_INFER_CACHE and TMPDIR elsewhere"
