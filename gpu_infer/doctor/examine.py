"""All checks in the order in which trouble is looked for."""

from __future__ import annotations

from collections.abc import Sequence

from gpu_infer.doctor.check import Check
from gpu_infer.doctor.folders import check_input, check_unfinished, check_writable
from gpu_infer.doctor.host import check_gpu, check_shared_memory
from gpu_infer.doctor.installation import check_packages, check_python, check_resources
from gpu_infer.settings import Settings


def examine(settings: Settings, folders: Sequence[str] = (), *, clean: bool = False) -> list[Check]:
    """Check everything that a run with `settings` needs.

    folders  which of "input", "output", "publish" and "logs" the user named; the others are not looked at
    clean    remove what killed runs left in those folders, in shared memory and on the server
    """
    from gpu_infer.doctor.server import check_server

    checks = [check_python(), check_packages(), check_resources()]
    for name in folders:
        path = getattr(settings, name)
        if path is not None:
            checks.append(check_input(path) if name == "input" else check_writable(name, path))
            if name in ("output", "publish"):
                checks += check_unfinished(name, path, clean=clean)
    checks += [check_shared_memory(), check_gpu()]
    return checks + check_server(settings, fit="input" in folders, clean=clean)
