"""Compiles the CPU kernels into Numba's cache ahead of a run.

Kernels are compiled once per pair of dtypes, and take every shape and memory layout: one call on a few voxels compiles
all that a pair needs. What a run computes between its volume and its labels is float32, so that the pairs are few.
"""

from __future__ import annotations

import itertools
import logging
import os
import signal
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from multiprocessing import get_context, resource_tracker
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess
from threading import Lock, Thread
from typing import Any

import numpy as np

from gpu_infer.backends import dtypes
from gpu_infer.backends.cpu import warm_up_calls as calls
from gpu_infer.backends.cpu.backend import CpuBackend
from gpu_infer.backends.cpu.kernels.cache import CACHE

Step = tuple[str, Callable[[CpuBackend], None]]
"""What the operations read, for messages, and a function that calls them on arrays of a few voxels."""

Parts = tuple[list[Step], list[Step]]
"""Steps that two processes may take at once: they start no kernel in common, whose files in the cache they share."""

COMMON_STORED = ("i2", "f4", "u2", "u1", "f8")
"""Voxels of most files: CT, what programs write, MR, masks, and NIfTI files by nibabel."""

COMMON_LABELS = dtypes.LABELS[:1]
"""Of models with up to 256 classes."""


def all_steps() -> Parts:
    """Every operation with every dtype that a run takes."""
    rare = [stored for stored in dtypes.STORED if stored not in COMMON_STORED]
    return _of_sums(dtypes.LABELS), _of_volumes((*COMMON_STORED, *rare), dtypes.MODEL)


def common_steps() -> Parts:
    """Every operation with the dtypes that runs commonly meet, in two thirds of the time of all."""
    return _of_sums(COMMON_LABELS), _of_volumes(COMMON_STORED, dtypes.MODEL[:1])


def sums_steps() -> Parts:
    """Windows, and what a run makes of their sums: a run on a GPU may keep its sums on the host."""
    return _of_sums(COMMON_LABELS), [_volumes(str(kept), model) for kept in dtypes.MODEL for model in dtypes.MODEL]


def warm_up(progress: Callable[[str, int, int], object], parts: Parts) -> None:
    """Carry out the steps, those of the second part in another process if there are two processors, and a cache.

    Kernels that the cache holds are loaded, the others take one to three seconds each.

    Args:
        progress: Receives each step's name, its number from 1 and how many there are, before it. From any thread.
        parts: From a function of this module.
    """
    numbers, lock, count = itertools.count(1), Lock(), sum(map(len, parts))

    def begin(name: str) -> None:
        with lock:
            progress(name, next(numbers), count)

    here, there = parts
    if len(os.sched_getaffinity(0)) < 2 or not CACHE or not there:
        carry_out([*here, *there], begin)
        return
    context = get_context("spawn")
    receiver, sender = context.Pipe(duplex=False)
    other = context.Process(target=_other_process, args=(there, sender), daemon=True)
    _start(other)
    sender.close()
    relay = Thread(target=_relay, args=(receiver, begin), daemon=True)
    relay.start()
    carry_out(here, begin)
    other.join()
    relay.join()
    if other.exitcode:  # this raises what went wrong there
        carry_out(there, lambda name: None)


def carry_out(steps: Sequence[Step], begin: Callable[[str], object]) -> None:
    """Carry out `steps` in this thread; `begin` receives each step's name before it."""
    cpu = CpuBackend()
    for name, step in steps:
        begin(name)
        step(cpu)


def _start(process: SpawnProcess) -> None:
    """Start a process that Ctrl-C does not reach: it ends the process that began this one.

    To ignore the signal there would be too late, since Python and this module are loaded before.
    """
    resource_tracker.ensure_running()  # `start` does so, too, and then lets the signal through again
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        process.start()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)


def _other_process(steps: Sequence[Step], sender: Connection) -> None:
    """In a process of its own, which ends with the first step after the end of the process that began it."""
    logging.captureWarnings(True)  # Numba's, of several lines, have come in that process, too
    with suppress(BrokenPipeError):
        carry_out(steps, sender.send)


def _relay(receiver: Connection, begin: Callable[[str], object]) -> None:
    try:
        while True:
            begin(receiver.recv())
    except EOFError:
        return


def _of_sums(labels: Sequence[np.dtype[Any]]) -> list[Step]:
    """Of windows, scores and label maps; and those of the library."""
    steps: list[Step] = [(f"{model} windows", partial(calls.windows, model=model)) for model in dtypes.MODEL]
    for label in labels:
        steps += [
            (f"{label} labels", partial(calls.labels, label=label)),
            (f"components of {label} labels", partial(calls.components, label=label)),
            (f"statistics of {label} labels", partial(calls.label_statistics, label=label)),
        ]
    return [
        *steps,
        ("probabilities", calls.probabilities),
        ("windows of sliding_window_inference", calls.grid_windows),
        ("means of sliding_window_inference", calls.means),
        ("zoom", calls.zoom),
    ]


def _of_volumes(stored_dtypes: Sequence[str], cubic_models: Sequence[np.dtype[Any]]) -> list[Step]:
    """Of voxels on their way to the model; scores are resampled as float32 volumes are."""
    steps = [_volumes(stored, model) for model in dtypes.MODEL for stored in stored_dtypes]
    steps.append(("intensities", calls.intensities))
    for stored in stored_dtypes:
        models = dtypes.MODEL if stored == "f4" else cubic_models  # the passes after the first one read float32
        name = f"cubic resampling of {np.dtype(stored)} volumes"
        steps.append((name, partial(calls.resample_cubic, stored=stored, models=models)))
    return steps


def _volumes(stored: str, model: np.dtype[Any]) -> Step:
    return f"{np.dtype(stored)} volumes for {model} models", partial(calls.prepare, stored=stored, model=model)
