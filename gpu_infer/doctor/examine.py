"""All checks, in the order in which a run would find the faults."""

from __future__ import annotations

import os
from collections.abc import Sequence

from gpu_infer.doctor.caches import check_caches
from gpu_infer.doctor.check import Check, in_group
from gpu_infer.doctor.configuration import check_config, check_filters
from gpu_infer.doctor.folders import (
    check_outputs,
    check_unfinished,
    check_writable,
    remove_archives,
    remove_server_logs,
)
from gpu_infer.doctor.host import check_device, check_gpu, check_memory, check_shared_memory
from gpu_infer.doctor.installation import check_packages, check_python, check_resources
from gpu_infer.doctor.kernels import check_kernels
from gpu_infer.doctor.leftovers import check_leftovers
from gpu_infer.doctor.volume import check_input
from gpu_infer.settings import Settings
from gpu_infer.writers.names import capture_folders


def examine(
    settings: Settings | None, folders: Sequence[str] = (), *, clean: bool = False, refusals: Sequence[Check] = ()
) -> list[Check]:
    """Check everything that a run with `settings` needs.

    Args:
        settings: those of the run; None if they are not known: then the installation and the machine are checked.
        folders: which of "input", "output", "publish" and "logs" the user named. Only these are checked: a default,
            which may belong to another host, is not.
        clean: remove the remains of killed runs in the output and publish folder, in shared memory and on the server.
        refusals: the failed checks of options and variables that `settings` do not contain.
    """
    from gpu_infer.doctor.server import check_server
    from gpu_infer.planning.run_inputs import RunInputs

    backend, device = check_device("auto" if settings is None else settings.device)
    checks = in_group("install", [check_python(), check_packages(), check_resources()])
    host = [check_memory(), *check_caches(os.environ), check_kernels(backend), check_shared_memory(), check_gpu()]
    checks += in_group("machine", host)

    run = list(refusals)
    if settings is None:
        return checks + in_group("run", run) + in_group("server", check_leftovers(None, clean))
    config, config_checks = check_config(settings)
    run += [Check("settings", "warn", message, "keep one of them") for message in settings.warnings] + config_checks
    run += check_filters(config, backend)
    header, input_checks = check_input(settings, config) if "input" in folders else (None, [])
    folder_checks = _check_folders(settings, folders, clean=clean)
    # A run looks for the input, then it makes the output folder, then it reads the header.
    is_missing = "input" in folders and not settings.input.exists()
    run += input_checks + folder_checks if is_missing else folder_checks + input_checks
    if "output" in folders:
        run += check_outputs(settings, config, header)
    checks += in_group("run", run + device)

    inputs = None
    if config is not None and header is not None:
        inputs = RunInputs(settings, config, config.pipeline(), header)
    return checks + in_group("server", check_server(settings, config, inputs, backend, clean=clean))


def _check_folders(settings: Settings, folders: Sequence[str], *, clean: bool) -> list[Check]:
    """Whether the named folders can be written, and the remains of killed runs in those of outputs."""
    checks = []
    for name, path in (("output", settings.output), ("publish", settings.publish), ("logs", settings.logs)):
        if path is None:
            continue
        is_checked = name in folders and not (name == "logs" and path == settings.output and "output" in folders)
        if is_checked:
            checks.append(check_writable(name, path))
        if name != "logs" and not (is_checked and checks[-1].status == "fail"):
            for folder in (path, *capture_folders(path)):
                checks += check_unfinished(name, folder, clean=clean)
    if clean:
        checks += remove_archives()
        checks += remove_server_logs()
    return checks
