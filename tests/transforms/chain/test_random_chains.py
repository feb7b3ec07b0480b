"""The bytes that a trace plans for random chains, against those that the CPU and a simulated GPU allocate."""

from __future__ import annotations

import tracemalloc
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from random_chains import CLASSES, LABELS, PRE, SCORES, random_case
from transforms_oracle import accumulated

from gpu_infer.backends.cpu.backend import CpuBackend
from gpu_infer.backends.types import HostArray
from gpu_infer.transforms.chain.pipeline import Pipeline
from gpu_infer.volume.volume import Volume

SLACK = 512 << 10
"""Bytes of tables whose size does not depend on the volume, and of Python's objects."""


class CopyingBackend(CpuBackend):
    """Has its own copy of what is uploaded, as a GPU has."""

    def upload(self, host: HostArray) -> HostArray:
        return host.copy(order="K")


def planned(pipeline: Pipeline, volume: Volume) -> int:
    return pipeline.trace(volume.channels, volume.geometry, volume.dtype, classes=CLASSES).peak_bytes


def result_for(pipeline: Pipeline, fields: Any) -> HostArray:
    scores = np.random.default_rng(2).random((CLASSES, *fields[pipeline.input_field].shape), dtype=np.float32)
    return accumulated(pipeline, scores)


def on_cpu(pipeline: Pipeline, volume: Volume) -> tuple[int, dict[str, HostArray]]:
    """Most bytes that are allocated at a time, and the labels."""
    backend, peaks = CopyingBackend(), []
    tracemalloc.start()
    try:
        fields = pipeline.prepare(volume, backend)
        peaks.append(tracemalloc.get_traced_memory()[1])
        scores = result_for(pipeline, fields)  # exists in addition to the plan
        pipeline.accept(backend.upload(scores), fields)
        tracemalloc.reset_peak()
        labels = pipeline.deliver(fields, backend)
        peaks.append(tracemalloc.get_traced_memory()[1] - scores.nbytes)
    finally:
        tracemalloc.stop()
    return max(peaks), labels


@pytest.mark.parametrize("seed", range(100))
def test_no_random_chain_takes_more_than_planned(seed: int) -> None:
    pipeline, volume = random_case(seed)
    bytes_planned = planned(pipeline, volume)
    peak, labels = on_cpu(pipeline, volume)
    if peak > bytes_planned + SLACK:  # perhaps a kernel was compiled
        peak, labels = on_cpu(pipeline, volume)
    assert list(labels) == list(pipeline.outputs)
    assert 0.4 * bytes_planned < peak <= bytes_planned + SLACK, pipeline.describe()


@pytest.mark.parametrize("seed", range(0, 100, 5))
def test_nor_does_it_on_a_gpu_and_the_labels_are_the_same(gpu: Any, seed: int) -> None:
    pipeline, volume = random_case(seed)
    gpu.start_run()
    fields = pipeline.prepare(volume, gpu)
    peaks = [gpu.counters()["peak_device_bytes"]]
    pipeline.accept(gpu.upload(result_for(pipeline, fields)), fields)
    gpu.start_run()
    labels = {name: gpu.download(array) for name, array in pipeline.deliver(fields, gpu).items()}
    peaks.append(gpu.counters()["peak_device_bytes"])
    assert max(peaks) <= planned(pipeline, volume) + SLACK, pipeline.describe()
    _, expected = on_cpu(pipeline, volume)
    for name, array in labels.items():
        assert_array_equal(array, expected[name])


def test_the_chains_have_every_member() -> None:
    names = set()
    for seed in range(100):
        pipeline, _ = random_case(seed)
        names |= {transform.name for transform in (*pipeline.pre, *pipeline.post)}
    rng = np.random.default_rng(0)
    volume = random_case(0)[1]
    members = [make(rng, volume) for make in PRE.values()] + [make(rng) for make in SCORES.values()]
    members += [make(rng, "model") for make in LABELS.values()]
    assert {transform.name for transform in members} | {"MergeMasks"} <= names
