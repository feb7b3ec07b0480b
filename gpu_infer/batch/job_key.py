"""The hashes of a batch's configuration and options: a case that is done with others is done again."""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import fields
from typing import NamedTuple

from gpu_infer.batch.job import BatchJob
from gpu_infer.settings import Settings

_WITHOUT_EFFECT = frozenset(
    {
        *(
            "input",
            "output",
            "output_name",
            "logs",
            "config",
            "labels",
            "series",
            "channels",
            "series_files",
            "first",
            "name",
        ),
        *("triton_http", "triton_grpc", "triton_either", "local_models", "access", "control", "load_model"),
        *("data", "require", "device", "batch_size", "slots", "slab", "wait_s", "server_first", "deadline_s"),
        *("allow_foreign_data_files", "debug_port", "debug_host", "warnings"),
    }
)
"""Settings that do not shape the files of a case. Content of the configuration and of the labels, and the case's input
and series, are compared by themselves; the model by its name alone, since a server may get a new version any time."""


class JobKey(NamedTuple):
    """config   `Config.hash()`: everything in the configuration that has an effect, and the labels
    options  of the settings that shape the files
    """

    config: str
    options: str


def job_key(job: BatchJob) -> JobKey:
    """The key of a batch. Raises ConfigError for a configuration that cannot be used."""
    from gpu_infer.session.checks import configure

    config, _ = configure(job.settings)
    return JobKey(config.hash(), options_hash(job.settings))


def options_hash(settings: Settings) -> str:
    """SHA-256 of the settings that shape the files of a case."""
    values = {each.name: getattr(settings, each.name) for each in fields(settings)}
    effective = {name: value for name, value in values.items() if name not in _WITHOUT_EFFECT}
    return hashlib.sha256(json.dumps(effective, sort_keys=True, default=os.fspath).encode()).hexdigest()
