"""Folders of downloads and compiled kernels, and the variables that name them."""

from __future__ import annotations

from collections.abc import Mapping

from gpu_infer.doctor.check import Check
from gpu_infer.doctor.folders import check_writable
from gpu_infer.errors import ConfigError
from gpu_infer.system.cache import CACHE_VARIABLE, cache_folder
from gpu_infer.system.folder_variables import KERNELS_VARIABLE, folder_refusals


def check_caches(environ: Mapping[str, str]) -> list[Check]:
    """Check the cache folder in use, and every variable that does not name a folder."""
    refusals = folder_refusals(environ)
    checks = [Check("folders", "fail", error.message, error.remedy, error.exit_code) for error in refusals]
    refused = {error.message.partition(":")[0] for error in refusals}
    if (kernels := environ.get(KERNELS_VARIABLE)) and KERNELS_VARIABLE not in refused:
        checks.append(Check("kernels", "ok", kernels))
    if CACHE_VARIABLE in refused:
        return checks
    try:
        return [*checks, check_writable("cache", cache_folder())]
    except ConfigError as error:  # only the local Triton and the demo need it
        return [*checks, Check("cache", "warn", error.message, error.remedy)]
