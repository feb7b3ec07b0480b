"""Check the configuration of a run, and the options that depend on it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gpu_infer.doctor.check import Check, failure
from gpu_infer.errors import GpuInferError
from gpu_infer.settings import Settings

if TYPE_CHECKING:
    from gpu_infer.config.config import Config


def check_config(settings: Settings) -> tuple[Config | None, list[Check]]:
    """The configuration, None if a run would refuse it, and a check of it with one more for each warning."""
    from gpu_infer.session.checks import configure

    name = "config"
    try:
        config, _ = configure(settings)
    except GpuInferError as error:
        return None, [failure(name, error)]
    checks = [Check(name, "ok", f"{settings.config}: valid")]
    checks += [Check(name, "warn", message, "correct the configuration") for message in config.warnings]
    return config, checks
