"""The table of the libraries' filters, and what happens if a library is missing."""

from __future__ import annotations

import sys
import tracemalloc
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from cudasim.simulated import simulated_cupy
from real_device import real_gpu
from transforms_oracle import blank_field

from gpu_infer.backends.cpu.backend import CpuBackend
from gpu_infer.backends.filters import FILTERS, FilterBytes, FilterPlaces, ball, filter_bytes, filters_for_host
from gpu_infer.errors import ConfigError
from gpu_infer.transforms.intensity.equalize_adapthist import EqualizeAdapthist
from gpu_infer.transforms.intensity.gaussian_smooth import GaussianSmooth


def test_a_ball_has_the_offsets_within_its_radius() -> None:
    assert ball((1.0, 1.0, 1.0)).sum() == 7
    assert ball((2.0, 1.0, 0.5)).shape == (5, 3, 1)


def test_a_missing_library_is_refused_when_the_configuration_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "skimage.filters", None)
    with pytest.raises(ConfigError, match=r"skimage\.filters\.gaussian cannot be imported") as refused:
        GaussianSmooth(fields="image")
    assert refused.value.remedy == "pip install 'gpu-infer[filters]'"


@pytest.fixture(params=["simulated", pytest.param("device", marks=pytest.mark.gpu)])
def gpu(request: pytest.FixtureRequest) -> Iterator[Any]:
    with simulated_cupy() if request.param == "simulated" else real_gpu() as module:
        yield module.GpuBackend()


def test_a_gpu_without_cucim_filters_on_its_host(gpu: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Same values as on the CPU, and the voxels that cross the bus are counted."""
    array = np.random.default_rng(3).normal(size=(2, 7, 6, 5)).astype(np.float32)
    want = np.empty_like(array)
    CpuBackend().library_filter("gaussian", array, want, sigma=(1.0, 0.5, 2.0))
    assert gpu.filters_on_host(["median", "erode", "dilate"]) == ()
    monkeypatch.setitem(sys.modules, "cucim.skimage.filters", None)
    ((name, reason),) = gpu.filters_on_host(["gaussian", "median", "erode"])
    assert name == "gaussian"
    assert reason.startswith("cucim.skimage.filters.gaussian cannot be imported: ")
    for axes in ((0, 1, 2, 3), (0, 3, 1, 2)):
        back = [int(axis) for axis in np.argsort(axes)]
        source, out = gpu.upload(array), gpu.upload(np.zeros(want.transpose(axes).shape, np.float32))
        gpu.start_run()
        gpu.library_filter("gaussian", source, out.transpose(back), sigma=(1.0, 0.5, 2.0))
        counters = gpu.counters()
        assert np.array_equal(gpu.download(out).transpose(back), want)
        assert (counters["bytes_down"], counters["bytes_up"]) == (array.nbytes, array.nbytes)


def test_the_cpu_has_no_filters_elsewhere() -> None:
    assert CpuBackend().filters_on_host(FILTERS) == ()


def test_bytes_of_a_filter_by_its_place(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cucim.skimage.filters", None)
    missing = filters_for_host(["gaussian"])
    assert filter_bytes("gaussian", 100, FilterPlaces()) == FilterBytes(400 + 400)
    assert filter_bytes("gaussian", 100, FilterPlaces(gpu=True)) == FilterBytes(400 + 800)
    assert filter_bytes("gaussian", 100, FilterPlaces(True, missing)) == FilterBytes(400, 800 + 400)
    assert filter_bytes("gaussian", 100, FilterPlaces(False, missing)) == FilterBytes(800)


@pytest.mark.parametrize(
    ("shape", "kernel", "bins"),
    [
        ((48, 40, 56), None, 256),
        ((48, 40, 56), (6, 5, 7), 1000),
        ((48, 40, 56), (31, 40, 25), 256),
        ((60, 60, 3), (9, 4, 1), 64),
    ],
)
def test_the_cpu_takes_what_is_planned_for_padded_channels(
    shape: tuple[int, int, int], kernel: tuple[int, int, int] | None, bins: int
) -> None:
    arguments = {} if kernel is None else {"kernel_size": kernel}
    equalize = EqualizeAdapthist(fields="image", nbins=bins, **arguments)
    source = np.random.default_rng(0).random((1, *shape[::-1]), dtype=np.float32).transpose(0, 3, 2, 1)
    field = blank_field(shape)
    peak = traced_peak(lambda: equalize.apply(source, field, CpuBackend()))
    planned = equalize.filter_bytes(field, FilterPlaces()).here + source.nbytes  # and the result
    assert 0.6 * planned < peak <= planned + SLACK


SLACK = 64 << 10
"""Bytes of weights, and of what Python allocates."""


def traced_peak(call: Callable[[], object]) -> int:
    """Most bytes that the second call allocates: the first imports."""
    call()
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        call()
        return tracemalloc.get_traced_memory()[1] - before
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("gaussian", {"sigma": (1.0, 1.0, 1.0)}),
        ("median", {"size": (3, 3, 3)}),
        ("dilate", {"structure": ball((2.0, 2.0, 2.0))}),
        ("erode", {"structure": ball((2.0, 2.0, 2.0))}),
    ],
)
def test_the_cpu_takes_what_is_planned(name: Any, arguments: dict[str, Any]) -> None:
    kind = FILTERS[name].dtype
    source = (np.random.default_rng(0).random((1, 48, 64, 56)) * 2).astype(kind).transpose(0, 3, 2, 1)
    out = np.empty(source.shape, kind)
    backend = CpuBackend()
    peak = traced_peak(lambda: backend.library_filter(name, source, out, **arguments))
    planned = filter_bytes(name, source.size, FilterPlaces()).here
    assert 0.6 * planned < peak <= planned + SLACK
