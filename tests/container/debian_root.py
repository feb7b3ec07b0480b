"""A clean Debian root folder, the base of the images that tests build, and what of this host goes into it."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

RELEASE = "bookworm"
MIRROR = os.environ.get("DEBIAN_MIRROR", "http://deb.debian.org/debian")
SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

_TAKEN_ALONG = ("/etc/resolv.conf", "/etc/hosts", "/etc/pip.conf", "/etc/ssl/certs/ca-certificates.crt")
_VARIABLES = ("PIP_", "http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "no_proxy", "NO_PROXY")


def why_no_root() -> str | None:
    """The reason why this host can neither make nor enter a root folder; None if it can."""
    if os.geteuid() != 0:
        return "Debian roots need root (chroot, mount)"
    for program in ("debootstrap", "unshare", "mount"):
        if shutil.which(program) is None:
            return f"{program} is not installed (apt install debootstrap util-linux mount)"
    with tempfile.TemporaryDirectory() as name:
        steps = [
            f"mount -t tmpfs tmpfs {name}",
            f"mkdir {name}/l {name}/u {name}/w {name}/r",
            f"mount -t overlay -o lowerdir={name}/l,upperdir={name}/u,workdir={name}/w overlay {name}/r",
        ]
        command = ["unshare", "--mount", "--propagation", "private", "--pid", "--fork", "sh", "-ec", "\n".join(steps)]
        done = subprocess.run(command, capture_output=True, encoding="utf-8", check=False)
    return f"this host cannot mount as a container engine does: {done.stderr.strip()}" if done.returncode else None


def debian_root(folder: Path) -> Path:
    """The root in `folder`, made once. debian:bookworm-slim is made like this, less some documentation.

    Raises RuntimeError if debootstrap fails, for example without a network.
    """
    root = folder / "debian"
    complete = folder / "debian.complete"
    if complete.exists():
        return root
    subprocess.run(["rm", "-rf", root], check=True)
    command = ["debootstrap", "--variant=minbase", RELEASE, str(root), MIRROR]
    done = subprocess.run(command, capture_output=True, encoding="utf-8", check=False)
    if done.returncode:
        raise RuntimeError(f"debootstrap: {(done.stdout + done.stderr).strip().splitlines()[-1]}")
    complete.touch()
    return root


def take_along(root: Path) -> None:
    """Copy name servers, certificates and the settings of pip and apt into the root.

    Again after packages were installed: Debian's certificates replace those of the host.
    """
    for name in _TAKEN_ALONG:
        if Path(name).is_file():
            target = root / name.lstrip("/")
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(name, target)
    if shutil.which("apt-config"):
        dump = subprocess.run(
            ["apt-config", "dump", "Acquire"], capture_output=True, encoding="utf-8", check=True
        ).stdout
        (root / "etc/apt/apt.conf.d/99host").write_text(dump)


def download_variables() -> dict[str, str]:
    """This host's variables for downloads, for commands in a root."""
    return {key: value for key, value in os.environ.items() if key.startswith(_VARIABLES)}
