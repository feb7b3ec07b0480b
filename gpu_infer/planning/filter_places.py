"""Where a run computes the filters of libraries: decided before the server is asked, and shown as a fallback."""

from __future__ import annotations

from dataclasses import replace

from gpu_infer.backends.base.backend import Backend
from gpu_infer.backends.filters import GPU_REMEDY, FilterPlaces, filters_for_host
from gpu_infer.planning.run_inputs import RunInputs
from gpu_infer.transforms.chain.pipeline import Pipeline


def with_filter_places(inputs: RunInputs, backend: Backend) -> RunInputs:
    """`inputs` with the places of its filters on `backend`."""
    on_host = backend.filters_on_host(inputs.pipeline.library_filters)
    return replace(inputs, places=FilterPlaces(backend.name == "gpu", on_host))


def places_on_gpu(pipeline: Pipeline) -> FilterPlaces:
    """Places on a GPU with the libraries of this installation; no device is examined."""
    return FilterPlaces(True, filters_for_host(pipeline.library_filters))


def host_filter_lines(pipeline: Pipeline, places: FilterPlaces) -> list[str]:
    """One line for each filter that runs on a GPU's host: the transforms that use it, the reason, the remedy."""
    return [
        f"filters: {', '.join(dict.fromkeys(names))} on the host, because {places.reason(filter_name)}: {GPU_REMEDY}"
        for filter_name, names in pipeline.library_filters.items()
        if places.is_on_host(filter_name)
    ]


def transforms_on_host(pipeline: Pipeline, places: FilterPlaces) -> list[str]:
    """The names of the transforms whose filters run on a GPU's host, each once."""
    filters = pipeline.library_filters.items()
    return list(
        dict.fromkeys(name for filter_name, names in filters if places.is_on_host(filter_name) for name in names)
    )
