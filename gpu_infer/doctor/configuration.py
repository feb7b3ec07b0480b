"""Check the configuration of a run, as `gpu-infer validate` does."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from gpu_infer.doctor.check import Check, failure
from gpu_infer.errors import GpuInferError
from gpu_infer.settings import Settings

if TYPE_CHECKING:
    from gpu_infer.config.config import Config


def check_config(settings: Settings) -> tuple[Config | None, list[Check]]:
    """The configuration, None if a run would refuse it, and a check of it with one more for each warning."""
    from gpu_infer.config.load import load_config

    name = "config"
    try:
        config = load_config(settings.config, os.environ)
        config.inferer.check_options(roi_size=settings.roi_size)
        config.pipeline()
    except GpuInferError as error:
        return None, [failure(name, error)]
    checks = [Check(name, "ok", f"{settings.config}: valid")]
    checks += [Check(name, "warn", message, "correct the configuration") for message in config.warnings]
    return config, checks
