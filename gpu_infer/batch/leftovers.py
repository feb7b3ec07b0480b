"""Shared memory of workers and batches that were killed: removed before others need the space."""

from __future__ import annotations

import logging
import os
from contextlib import ExitStack
from dataclasses import replace

from gpu_infer.errors import GpuInferError
from gpu_infer.settings import CONNECT_WAIT_S, Settings

log = logging.getLogger(__name__)


def remove_leftovers(settings: Settings) -> None:
    """Remove the segments of dead processes, and their regions on the server of `settings`.

    What another server knows stays, as does what cannot be removed; the log says so.
    """
    from gpu_infer.triton.shm.leftovers import find_leftovers

    try:
        if find_leftovers():
            _remove(settings)
    except (GpuInferError, OSError) as error:
        log.warning("shared memory of a killed process stays: %s (gpu-infer doctor --clean removes it)", error)


def _remove(settings: Settings) -> None:
    from gpu_infer.config.load import load_config
    from gpu_infer.connect import connect
    from gpu_infer.doctor.leftovers import clean_leftovers
    from gpu_infer.triton.local.ending import is_ending
    from gpu_infer.triton.shm.leftovers import clean, find_leftovers
    from gpu_infer.triton.shm.segment_users import mapped_by

    if settings.local_models is not None:  # a local server ends with its worker
        clean([item for item in find_leftovers() if all(is_ending(int(u.split()[0])) for u in mapped_by(item.path))])
        return
    settings = replace(settings, wait_s=min(settings.connect_wait_s, CONNECT_WAIT_S))
    config = load_config(settings.config, os.environ, settings.labels, settings.model_name)
    with ExitStack() as stack:
        client = connect(settings, config.inferer, stack).client()
        stack.callback(client.close)
        for check in clean_leftovers(find_leftovers(client), client):
            log.log(logging.INFO if check.status == "ok" else logging.WARNING, "%s: %s", check.name, check.found)
