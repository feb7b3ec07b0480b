"""Check the configuration of a run, and the options that depend on it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gpu_infer.doctor.check import Check, failure
from gpu_infer.errors import GpuInferError
from gpu_infer.settings import Settings

if TYPE_CHECKING:
    from gpu_infer.backends.base.backend import Backend
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


def check_filters(config: Config | None, backend: Backend) -> list[Check]:
    """Whether the GPU has the libraries of the configuration's filters; nothing if there are no filters."""
    from gpu_infer.backends.filters import GPU_REMEDY, FilterPlaces
    from gpu_infer.planning.filter_places import transforms_on_host

    pipeline = None if config is None else config.pipeline()
    if pipeline is None or not pipeline.library_filters:
        return []
    places = FilterPlaces(backend.name == "gpu", backend.filters_on_host(pipeline.library_filters))
    on_host = ", ".join(transforms_on_host(pipeline, places))
    if not on_host:
        return [Check("filters", "ok", f"all libraries of this configuration's filters are there ({backend.name})")]
    return [Check("filters", "warn", f"{on_host}: on the host, because {places.on_host[0][1]}", GPU_REMEDY)]
