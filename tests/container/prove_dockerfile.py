"""Prove the Dockerfile without Docker: build its variants on clean Debian roots, and check promises on the result.

    sudo .venv/bin/python tests/container/prove_dockerfile.py [FOLDER [cpu|guide|gpu]...]

Every instruction is carried out; then the operator runs as any uid, without HOME and on a read-only root. The GPU
variant is built on Debian too, with CuPy and NVRTC from PyPI as in the image; it has every CUDA kernel, and needs no
GPU. `guide` runs test_guide.py on the CPU variant. FOLDER keeps the roots, and what is in it is not built again;
without it, they are in a temporary folder of about 10 GB. DEBIAN_MIRROR names another mirror; the name servers,
certificates and download settings of this host are taken along.

Prints a line per instruction and per check; exits 1 at the first that fails.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from debian_root import why_no_root
from enter_root import Entry, command_line
from images import Builder, BuildError, Image, debian_image

CHECKOUT = Path(__file__).resolve().parents[2]
DOCKERFILE = CHECKOUT / "Dockerfile"
PARTS = ("cpu", "guide", "gpu")
FOLDER_VARIABLE = "GPU_INFER_DEBIAN"
"""Names the folder of the roots to test_guide.py."""


def say(text: str) -> None:
    sys.stdout.write(f"prove: {text}\n")
    sys.stdout.flush()


class Check:
    """Runs commands in an image as a uid without a name, with the image's environment alone: no HOME.

    The root is read-only but for memory at /tmp and the output folders; `/mnt` has the programs of the checks.
    """

    def __init__(self, image: Image, programs: Path, mount: Path) -> None:
        self.image, self.programs, self.mount = image, programs, mount

    def __call__(self, what: str, command: list[str], code: int, *said: str, **env: str) -> None:
        entry = Entry(
            str(self.image.root),
            str(self.mount),
            command,
            self.image.env | env,
            self.image.workdir,
            user="54321:54321",
            binds=[(str(self.programs), "/mnt", "ro")],
            memory=["/tmp", "/output", "/logs", "/publish"],
            read_only=True,
        )
        done = subprocess.run(command_line(entry), capture_output=True, encoding="utf-8", check=False)
        text = done.stdout + done.stderr
        good = done.returncode == code and all(part in text for part in said)
        say(f"{'ok  ' if good else 'FAIL'} {what}")
        if not good:
            sys.exit(f"exit code {done.returncode}, expected {code} and {said}\n{text[-4000:]}")


# Numba starts an event for each function that it compiles, and none for one that it finds in the cache.
_KERNELS_ARE_THERE = """
import os, tempfile
from numba.core import event
from gpu_infer.backends.cpu.warm_up import all_steps, carry_out

class Compilations(event.Listener):
    names = []

    def on_start(self, event):
        self.names.append(event.data["dispatcher"].py_func.__name__)

    def on_end(self, event):
        pass

event.register("numba:compile", Compilations())
for steps in all_steps():
    carry_out(steps, lambda name: None)
assert os.environ["NUMBA_CACHE_DIR"].startswith(tempfile.gettempdir()), os.environ["NUMBA_CACHE_DIR"]
assert not Compilations.names, Compilations.names
print("kernels loaded, none compiled")
"""


# What the image has compiled needs no compiler; for other GPUs it has one. There is no driver in the root, so no GPU.
_GPU_IS_READY = """
import os, runpy, tempfile
from gpu_infer.backends.choose import choose_backend
from gpu_infer.backends.gpu.compile.modules import Kernels, compile_cubin, cupy
from gpu_infer.errors import ConfigError

nvrtc = cupy.cuda.nvrtc
version = nvrtc.getVersion
def unexpected():
    raise RuntimeError("asked for")
nvrtc.getVersion = unexpected
for architecture in runpy.run_path("/mnt/warm_up.py")["ARCHITECTURES"]:
    Kernels(architecture)
nvrtc.getVersion = version
assert compile_cubin("masked", "75").startswith(b"\\x7fELF")
assert os.environ["CUPY_CACHE_DIR"].startswith(tempfile.gettempdir()), os.environ["CUPY_CACHE_DIR"]
assert choose_backend("auto").name == "cpu"
try:
    choose_backend("gpu")
except ConfigError as error:
    print(error)
print("kernels for every GPU, and NVRTC %d.%d for others" % version())
"""


def check_promises(image: Image, variant: str, programs: Path, mount: Path) -> None:
    python = "/opt/gpu_infer/bin/python"
    entrypoint = list(image.entrypoint)
    (programs / "kernels_are_there.py").write_text(_KERNELS_ARE_THERE)
    (programs / "gpu_is_ready.py").write_text(_GPU_IS_READY)
    (programs / "warm_up.py").write_bytes((CHECKOUT / "deploy/warm_up.py").read_bytes())
    check = Check(image, programs, mount)
    config = "config/config_inference.json"
    check("any uid, no HOME, read-only root", [*entrypoint, "version"], 0)
    check("the configuration of the image", [*entrypoint, "validate", f"/app/{config}"], 0, "valid")
    check("the folder of derived images", ["/bin/test", "-f", f"/app/app_base_inference_v2/{config}"], 0)
    check("kernels compiled at build are used", [python, "/mnt/kernels_are_there.py"], 0, "kernels loaded")
    if variant == "gpu":
        said = ("no CUDA device", "kernels for every GPU, and NVRTC 12.")
        check("CUDA kernels and their compiler are there", [python, "/mnt/gpu_is_ready.py"], 0, *said)
    bad = {"NVIDIA_CLARA_TRTISURI": "http://a:b"}
    check("the entry point reads the environment", entrypoint, 2, "NVIDIA_CLARA_TRTISURI", **bad)
    for folder in ("/", "/app"):
        old = ["/bin/sh", "-c", f"cd {folder} && exec python3 ./app_base_inference_v2/main.py"]
        check(f"main.py of the old operator in {folder}", old, 2, "NVIDIA_CLARA_TRTISURI", **bad)
    check("arguments make it the command line", [*entrypoint, "doctor", "--triton", "localhost:1"], 4)
    check("packages can be added", [python, "-m", "pip", "--version"], 0)


def prove_variant(folder: Path, variant: str) -> None:
    base = debian_image(folder)
    image = Builder(folder, say).build(DOCKERFILE, CHECKOUT, {"VARIANT": variant}, lambda _: base)
    with tempfile.TemporaryDirectory(dir=folder) as programs, tempfile.TemporaryDirectory(dir=folder) as mount:
        Path(programs).chmod(0o755)
        check_promises(image, variant, Path(programs), Path(mount))


def prove_guide(folder: Path) -> None:
    test = str(CHECKOUT / "tests" / "container" / "test_guide.py")
    command = [sys.executable, "-m", "pytest", "-v", "-p", "no:cacheprovider"]
    done = subprocess.run([*command, test], env=os.environ | {FOLDER_VARIABLE: str(folder)}, cwd=CHECKOUT, check=False)
    if done.returncode:
        sys.exit(1)


def prove(folder: Path, parts: list[str]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for part in parts:
        say(f"variant {part}" if part != "guide" else "the steps of the old operator's guide")
        start = time.monotonic()
        if part == "guide":
            prove_guide(folder)
        else:
            prove_variant(folder, part)
        say(f"{part} took {time.monotonic() - start:.0f} s")


def main(arguments: list[str]) -> int:
    parts = arguments[1:] or list(PARTS)
    if unknown := set(parts) - set(PARTS):
        sys.exit(f"prove_dockerfile: {', '.join(sorted(unknown))}: expected {', '.join(PARTS)}")
    if reason := why_no_root():
        say(reason)
        return 2
    try:
        if arguments and arguments[0]:
            prove(Path(arguments[0]).resolve(), parts)
        else:
            with tempfile.TemporaryDirectory(prefix="gpu_infer-prove.", dir="/var/tmp") as name:
                prove(Path(name), parts)
    except (BuildError, RuntimeError, FileNotFoundError) as error:
        sys.exit(str(error))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
