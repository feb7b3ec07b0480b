"""Run one command as the first process of a root folder, as a container engine does. Needs root, unshare and overlayfs.

`command_line` gives the command that enters: it gets mount and process namespaces of its own, so no mount outlives the
command. This file alone is then run as a program, with the entry as JSON.
"""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True)
class Entry:
    """What runs in which root.

    root       folder that becomes `/`
    mount      empty folder that the root is mounted at, in the namespace of the command alone
    keep       whether what the command writes into the root stays there
    user       numbers: uid:gid
    binds      (folder outside, folder inside, "ro" or "rw")
    memory     folders inside that are in memory, for every user
    shared     whether /dev/shm is the host's; otherwise it is in memory, with Docker's 64 MiB
    hosts      lines of /etc/hosts; none: the root's own
    read_only  whether the root cannot be written, except binds and memory
    """

    root: str
    mount: str
    command: list[str]
    env: dict[str, str]
    workdir: str = "/"
    user: str = "0:0"
    keep: bool = False
    binds: list[tuple[str, str, str]] = field(default_factory=list)
    memory: list[str] = field(default_factory=list)
    shared: bool = False
    hosts: list[str] = field(default_factory=list)
    read_only: bool = False


def command_line(entry: Entry) -> list[str]:
    namespaces = ["unshare", "--mount", "--propagation", "private", "--pid", "--fork", "--kill-child"]
    return [*namespaces, sys.executable, "-I", __file__, json.dumps(dataclasses.asdict(entry))]


def mount(*arguments: str | Path) -> None:
    subprocess.run(["mount", *arguments], check=True)


def mount_root(entry: Entry) -> Path:
    """The root folder itself, or a layer in memory over it, with the file systems that every container has."""
    place = Path(entry.mount)
    root = place
    if entry.keep:
        mount("--bind", entry.root, place)
    else:
        mount("-t", "tmpfs", "tmpfs", place)
        for name in ("upper", "work", "root"):
            (place / name).mkdir()
        root = place / "root"
        layers = f"lowerdir={entry.root},upperdir={place}/upper,workdir={place}/work"
        mount("-t", "overlay", "-o", layers, "overlay", root)
    for name in ("proc", "dev", "sys"):
        (root / name).mkdir(exist_ok=True)
    mount("-t", "proc", "proc", root / "proc")
    mount("--rbind", "/dev", root / "dev")
    mount("--rbind", "/sys", root / "sys")
    if not entry.shared:
        mount("-t", "tmpfs", "-o", "size=64m,mode=1777", "tmpfs", root / "dev/shm")
    return root


def mount_folders(entry: Entry, root: Path) -> None:
    inside = [target for _, target, _ in entry.binds]
    for target in [*inside, *entry.memory, entry.workdir]:
        (root / target.lstrip("/")).mkdir(parents=True, exist_ok=True)
    if entry.hosts:
        (root / "etc/hosts").write_text("\n".join([*entry.hosts, ""]))
    if entry.read_only:
        mount("-o", "remount,bind,ro", root)
    for target in entry.memory:
        mount("-t", "tmpfs", "-o", "mode=1777", "tmpfs", root / target.lstrip("/"))
    for source, target, mode in entry.binds:
        mount("--bind", source, root / target.lstrip("/"))
        if mode == "ro":
            mount("-o", "remount,bind,ro", root / target.lstrip("/"))


def main(text: str) -> None:
    entry = Entry(**json.loads(text))
    root = mount_root(entry)
    mount_folders(entry, root)
    uid, _, gid = entry.user.partition(":")
    os.chroot(root)
    os.chdir(entry.workdir)
    os.setgroups([])
    os.setgid(int(gid or 0))
    os.setuid(int(uid))
    os.execvpe(entry.command[0], entry.command, entry.env)


if __name__ == "__main__":
    main(sys.argv[1])
