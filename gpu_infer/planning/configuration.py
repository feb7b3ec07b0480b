"""The configuration of a run, with options that do not contradict it."""

from __future__ import annotations

import os

from gpu_infer.config.config import Config
from gpu_infer.config.load import load_config
from gpu_infer.settings import Settings


def load_for_run(settings: Settings) -> Config:
    """Load the configuration that the settings name.

    Raises:
        ConfigError: The configuration is wrong, or an option for its inferer contradicts it.
    """
    config = load_config(settings.config, os.environ, settings.labels, settings.model_name)
    config.inferer.check_options(
        mode=settings.mode,
        roi_size=settings.roi_size,
        batch_size=settings.batch_size,
        slots=settings.slots,
        slab=settings.slab,
        model=settings.model_name,
    )
    return config
