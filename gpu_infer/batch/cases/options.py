"""What the search for cases needs to know about a batch."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from gpu_infer.choices import Tilt
from gpu_infer.config.load import load_config
from gpu_infer.errors import ConfigError
from gpu_infer.settings import Settings
from gpu_infer.volume.series_rules import SeriesChoice, series_of_option


@dataclass(frozen=True)
class CaseOptions:
    """How to find cases.

    output    folder of the batch; nothing in it is a case
    patterns  of the files of the channels, from the configuration's LoadNifti: a case is a folder then
    series    rules that choose series of DICOM studies; None: every series that is a volume
    name      pattern of the identifiers, None: names of files and folders
    tilt      "index": a series of irregular slices is a volume, too
    """

    output: Path
    patterns: Sequence[str] = ()
    series: SeriesChoice | None = None
    name: str | None = None
    tilt: Tilt = "refuse"

    @property
    def by_option(self) -> bool:
        """Whether `series` is the option `--series`, and no key of the configuration."""
        return self.series is not None and self.series.is_option


def case_options(settings: Settings) -> CaseOptions:
    """The options of a batch with these settings. Raises ConfigError."""
    if settings.output_name is not None:
        raise ConfigError(
            f"--output: found the name of one file, {settings.output_name!r}, expected the folder of a batch",
            remedy="give a folder, and the format with --format",
        )
    config = load_config(settings.config, os.environ, settings.labels, settings.model_name)
    patterns, series = config.pipeline().input_files, config.series
    if settings.series is not None:
        series = series_of_option(settings.series)
        if not series.selectors[0].conditions:
            raise ConfigError(
                f"--series: found {'a UID' if series.selectors[0].uid else settings.series!r}, expected a rule: a batch"
                " has many studies",
                remedy='write for example --series "Modality=CT, slices>20"',
            )
        if patterns:
            raise ConfigError("--series contradicts LoadNifti's `files`", remedy="leave one of the two out")
    return CaseOptions(settings.output, patterns, series, settings.name, settings.tilt)
