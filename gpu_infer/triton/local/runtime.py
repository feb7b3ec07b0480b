"""Paths and environment variables of an installed local Triton."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from gpu_infer.system.waiting_threads import without_settings

TRITON_VERSION = "2.51"
MARKER = "complete.json"


def server_folder(site_packages: Path) -> Path:
    """The wheel's folder of tritonserver, its backends and the stubs."""
    return site_packages / "pytriton" / "tritonserver"


@dataclass(frozen=True)
class Runtime:
    """A complete environment: its folder, its site-packages and the folders that may hold libpython."""

    folder: Path
    site_packages: Path
    libraries: tuple[str, ...]

    @classmethod
    def load(cls, folder: Path, requirements: Sequence[str]) -> Runtime | None:
        """The environment in `folder`; None unless it is complete and was built from exactly `requirements`."""
        try:
            marker = json.loads((folder / MARKER).read_text(encoding="utf-8"))
            runtime = cls(folder, Path(marker["site_packages"]), tuple(filter(None, marker["libraries"])))
            same = marker["requirements"] == list(requirements)
        except (OSError, ValueError, KeyError):
            return None
        return runtime if same and runtime.server.is_file() and (folder / "bin" / "python").exists() else None

    @property
    def server(self) -> Path:
        return server_folder(self.site_packages) / "bin" / "tritonserver"

    @property
    def backends(self) -> Path:
        return server_folder(self.site_packages) / "backends"

    def environment(self, base: Mapping[str, str] | None = None) -> dict[str, str]:
        """Environment variables for tritonserver; its stub imports packages of the first `python3` on PATH."""
        env = without_settings(os.environ if base is None else base)
        for name in ("PYTHONHOME", "PYTHONPATH"):
            env.pop(name, None)
        env["PATH"] = f"{self.folder / 'bin'}:{env.get('PATH', os.defpath)}"
        folders = [
            *self.libraries,
            str(self.site_packages / "nvidia_pytriton.libs"),
            env.get("LD_LIBRARY_PATH", ""),
        ]
        env["LD_LIBRARY_PATH"] = ":".join(filter(None, folders))
        return env
