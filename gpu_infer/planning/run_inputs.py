"""The inputs of a run plan that need no server: settings, configuration, pipeline and header."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import DTypeLike

from gpu_infer.backends.filters import ON_CPU, FilterPlaces
from gpu_infer.config.config import Config
from gpu_infer.config.model_entries import ModelEntry
from gpu_infer.errors import ConfigError
from gpu_infer.settings import Settings
from gpu_infer.transforms.chain.pipeline import Pipeline
from gpu_infer.transforms.chain.trace import Trace
from gpu_infer.volume.header import VolumeHeader
from gpu_infer.volume.open_input import InputOptions
from gpu_infer.volume.series_rules import series_of_option
from gpu_infer.writers.own_volumes import own_volumes


@dataclass(frozen=True, eq=False)
class RunInputs:
    """Options, configuration, the configuration's chains, and the volume's header.

    clients  programs like this one that send requests to the server, this one included
    places   where filters of libraries are computed
    """

    settings: Settings
    config: Config
    pipeline: Pipeline
    header: VolumeHeader
    clients: int = 1
    places: FilterPlaces = ON_CPU

    @property
    def batch_size(self) -> int | None:
        """Windows per request by option or configuration; None: as many as the model takes."""
        return self.settings.batch_size or self.config.inferer.batch_size

    def trace(self, dtype: DTypeLike = np.float32, classes: int | None = None) -> Trace:
        """Dry run of the chains on this volume's shape; see `Pipeline.trace`."""
        header = self.header
        return self.pipeline.trace(header.channels, header.geometry, header.dtype, dtype, classes, self.places)


def input_options(settings: Settings, config: Config, pipeline: Pipeline) -> InputOptions:
    """How to open the input of a run."""
    return InputOptions(
        patterns=pipeline.input_files,
        files=settings.channels,
        series_files=settings.series_files,
        series=config.series if settings.series is None else series_of_option(settings.series),
        allow_foreign=settings.allow_foreign_data_files,
        name=settings.name,
        first=settings.first,
        outputs=own_volumes,
        tilt=settings.tilt,
    )


def model_entries(config: Config, settings: Settings) -> tuple[ModelEntry, ...]:
    """The models by option or configuration, usually one. Raises ConfigError if neither has a name, or both have."""
    config.inferer.check_name(settings.model_name)
    if settings.model_name is not None:
        return (config.inferer.entry(settings.model_name),)
    if not config.inferer.entries:
        raise ConfigError(f"{config.path}: inferer.args.model_name is missing", remedy="set it, or pass --model")
    return config.inferer.entries
