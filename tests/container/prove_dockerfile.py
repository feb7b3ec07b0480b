"""Carry out a variant's instructions in copies of a Debian root, then check promises on the result.

Called by prove_dockerfile.sh as root in a mount namespace of its own: `prove_dockerfile.py WORK cpu` (or gpu), with the
pristine root in WORK/debian, which takes the place of either base image. Prints a line per instruction and per check;
exits 1 at the first that fails.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import dockerfile

CHECKOUT = Path(__file__).resolve().parents[2]
DOCKERFILE = CHECKOUT / "Dockerfile"
SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
TAKEN_ALONG = ("/etc/resolv.conf", "/etc/hosts", "/etc/pip.conf", "/etc/ssl/certs/ca-certificates.crt")


def say(text: str) -> None:
    sys.stdout.write(f"prove: {text}\n")
    sys.stdout.flush()


def mount_system(root: Path) -> None:
    for name in ("proc", "dev"):
        target = root / name
        target.mkdir(exist_ok=True)
        if not target.is_mount():
            subprocess.run(["mount", "--rbind", f"/{name}", target], check=True)


def host_settings(root: Path) -> dict[str, str]:
    for name in TAKEN_ALONG:
        if Path(name).is_file():
            target = root / name.lstrip("/")
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(name, target)
    if shutil.which("apt-config"):
        dump = subprocess.run(["apt-config", "dump", "Acquire"], capture_output=True, text=True, check=True).stdout
        (root / "etc/apt/apt.conf.d/99host").write_text(dump)
    names = ("PIP_", "http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "no_proxy", "NO_PROXY")
    return {key: value for key, value in os.environ.items() if key.startswith(names)}


def copy_in(root: Path, sources: list[str], origin: Path, workdir: str, destination: str) -> None:
    """COPY: a folder's contents go into the destination, a file goes into it or becomes it.

    Names may have wildcards. Raises FileNotFoundError for a name that matches nothing.
    """
    base = root / ((Path(workdir) / destination).as_posix().lstrip("/"))
    for source in [path for name in sources for path in _matches(origin, name.lstrip("/"))]:
        if source.is_dir():
            shutil.copytree(
                source, base, symlinks=True, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__")
            )
        else:
            target = base / source.name if destination.endswith("/") else base
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, target)


def _matches(origin: Path, name: str) -> list[Path]:
    if paths := sorted(origin.glob(name)):
        return paths
    raise FileNotFoundError(f"COPY {name}: not in {origin}")


def build(work: Path, arguments: dict[str, str]) -> tuple[Path, dict[str, str]]:
    """The final stage's root folder and its environment, for these build arguments."""
    roots: dict[str, Path] = {}
    envs: dict[str, dict[str, str]] = {}
    for stage in dockerfile.stages(DOCKERFILE, arguments):
        root = work / f"stage-{stage.name}"
        subprocess.run(["rm", "-rf", root], check=True)
        subprocess.run(["cp", "-a", "--one-file-system", roots.get(stage.base, work / "debian"), root], check=True)
        settings = host_settings(root)
        variables = dockerfile.Variables(DOCKERFILE, arguments, envs.get(stage.base, {"PATH": SYSTEM_PATH}))
        workdir = "/"
        for item in stage.instructions:
            variables.take(item)
            if item.name == "WORKDIR":
                workdir = item.text
                (root / workdir.lstrip("/")).mkdir(parents=True, exist_ok=True)
            elif item.name == "COPY":
                one = dockerfile.Stage("", "", [item])
                ((sources, source, destination),) = dockerfile.copies(one)
                copy_in(root, sources, roots[source] if source else CHECKOUT, workdir, destination)
            elif item.name == "RUN":
                command = ["/bin/sh", "-c", f"cd {workdir} && {item.text}"]
                mount_system(root)
                done = _chroot(root, command, settings | variables.visible)
                say(f"{'ok  ' if done.returncode == 0 else 'FAIL'} {stage.name}:{item.line} RUN {item.text[:70]}")
                if done.returncode:
                    sys.exit(f"{done.stdout[-3000:]}{done.stderr[-3000:]}")
        subprocess.run(
            ["umount", "--recursive", "--lazy", root / "proc", root / "dev"], check=False, capture_output=True
        )
        roots[stage.name], envs[stage.name] = root, variables.env
    return root, variables.env


class Check:
    """Runs in the finished root, made read-only but for memory at /tmp and the output folders; a uid without a name.

    Nothing but the image's own environment: no HOME.
    """

    def __init__(self, root: Path, env: dict[str, str]) -> None:
        self.root, self.env = root, env
        subprocess.run(["mount", "--bind", root, root], check=True)
        mount_system(root)
        subprocess.run(["mount", "-o", "remount,bind,ro", root], check=True)
        for name in ("tmp", "output", "logs", "publish"):
            subprocess.run(["mount", "-t", "tmpfs", "-o", "mode=1777", "tmpfs", root / name], check=True)

    def __call__(self, what: str, command: list[str], code: int, *said: str, **env: str) -> None:
        done = _chroot(self.root, command, self.env | env, "--userspec=54321:54321", "--groups=")
        text = done.stdout + done.stderr
        good = done.returncode == code and all(part in text for part in said)
        say(f"{'ok  ' if good else 'FAIL'} {what}")
        if not good:
            sys.exit(f"exit code {done.returncode}, expected {code} and {said}\n{text[-4000:]}")


def _chroot(root: Path, command: list[str], env: dict[str, str], *options: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["chroot", *options, root, *command], env=env, capture_output=True, text=True, check=False)


# Compiling takes a minute; loading takes a second or two.
_KERNELS_ARE_THERE = """
import os, runpy, tempfile, time
start = time.monotonic()
runpy.run_path("/opt/warm_up.py")["warm_cpu"]()
assert os.environ["NUMBA_CACHE_DIR"].startswith(tempfile.gettempdir()), os.environ["NUMBA_CACHE_DIR"]
took = time.monotonic() - start
assert took < 20, f"{took:.0f} s: kernels were compiled again"
print(f"kernels loaded in {took:.1f} s")
"""


# What the image has compiled needs no compiler; for other GPUs it has one. There is no driver in the root, so no GPU.
_GPU_IS_READY = """
import os, runpy, tempfile
from gpu_infer.backends import gpu_modules
from gpu_infer.backends.choose import choose_backend
from gpu_infer.errors import ConfigError

nvrtc = gpu_modules.cupy.cuda.nvrtc
version = nvrtc.getVersion
def unexpected():
    raise RuntimeError("asked for")
nvrtc.getVersion = unexpected
for architecture in runpy.run_path("/opt/warm_up.py")["ARCHITECTURES"]:
    gpu_modules.Kernels(architecture)
nvrtc.getVersion = version
assert gpu_modules.compile_cubin("masked", "75").startswith(b"\\x7fELF")
assert os.environ["CUPY_CACHE_DIR"].startswith(tempfile.gettempdir()), os.environ["CUPY_CACHE_DIR"]
assert choose_backend("auto").name == "cpu"
try:
    choose_backend("gpu")
except ConfigError as error:
    print(error)
print("kernels for every GPU, and NVRTC %d.%d for others" % version())
"""


def check_promises(root: Path, env: dict[str, str], variant: str) -> None:
    python = "/opt/gpu_infer/bin/python"
    entrypoint = [python, "-m", "gpu_infer"]
    (root / "opt/kernels_are_there.py").write_text(_KERNELS_ARE_THERE)
    (root / "opt/gpu_is_ready.py").write_text(_GPU_IS_READY)
    shutil.copyfile(CHECKOUT / "deploy/warm_up.py", root / "opt/warm_up.py")
    check = Check(root, env)
    config = "config/config_inference.json"
    check("any uid, no HOME, read-only root", [*entrypoint, "version"], 0)
    check("the configuration of the image", [*entrypoint, "validate", f"/app/{config}"], 0, "valid")
    check("the folder of derived images", ["/bin/test", "-f", f"/app/app_base_inference_v2/{config}"], 0)
    check("kernels compiled at build are used", [python, "/opt/kernels_are_there.py"], 0, "kernels loaded")
    if variant == "gpu":
        said = ("no CUDA device", "kernels for every GPU, and NVRTC 12.")
        check("CUDA kernels and their compiler are there", [python, "/opt/gpu_is_ready.py"], 0, *said)
    bad = {"NVIDIA_CLARA_TRTISURI": "http://a:b"}
    check("the entry point reads the environment", entrypoint, 2, "NVIDIA_CLARA_TRTISURI", **bad)
    for folder in ("/", "/app"):
        old = ["/bin/sh", "-c", f"cd {folder} && exec python3 ./app_base_inference_v2/main.py"]
        check(f"main.py of the old operator in {folder}", old, 2, "NVIDIA_CLARA_TRTISURI", **bad)
    check("arguments make it the command line", [*entrypoint, "doctor", "--triton", "localhost:1"], 4)
    check("packages can be added", [python, "-m", "pip", "--version"], 0)


def main(work: Path, variant: str) -> int:
    check_promises(*build(work, {"VARIANT": variant}), variant)
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), sys.argv[2]))
