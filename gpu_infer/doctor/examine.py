"""All checks, in the order of a search for a fault."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace

from gpu_infer.doctor.caches import check_caches
from gpu_infer.doctor.check import Check
from gpu_infer.doctor.folders import check_input, check_unfinished, check_writable
from gpu_infer.doctor.host import check_gpu, check_shared_memory
from gpu_infer.doctor.installation import check_packages, check_python, check_resources
from gpu_infer.settings import Settings
from gpu_infer.writers.names import capture_folders


def examine(settings: Settings, folders: Sequence[str] = (), *, clean: bool = False) -> list[Check]:
    """Check everything that a run with `settings` needs.

    Args:
        settings: those of the run.
        folders: which of "input", "output", "publish" and "logs" the user named. Only then is the input checked, and
            is a folder that cannot be used a failure; for a default, which may belong to another host, it is a warning.
        clean: remove the remains of killed runs in those folders, in shared memory and on the server.
    """
    from gpu_infer.doctor.server import check_server

    checks = [check_python(), check_packages(), check_resources()]
    checks += [Check("settings", "warn", message, "keep one of them") for message in settings.warnings]
    if "input" in folders:
        checks.append(check_input(settings.input))
    for name, path in (("output", settings.output), ("publish", settings.publish), ("logs", settings.logs)):
        if path is None or (name == "logs" and path == settings.output):
            continue
        check = check_writable(name, path)
        if check.status == "fail" and name not in folders:
            check = replace(check, status="warn", exit_code=0)
        checks.append(check)
        if name != "logs":
            checks += check_unfinished(name, path, clean=clean)
            for pictures in capture_folders(path):
                checks += check_unfinished(name, pictures, clean=clean)
    checks += check_caches(os.environ)
    checks += [check_shared_memory(), check_gpu()]
    return checks + check_server(settings, fit="input" in folders, clean=clean)
