"""Faults of synchronisation, planted one at a time: each makes a comparison of values fail on the fake driver.

A driver that runs work at once, or a fast card, would produce the right values with every one of them.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import cupy
import numpy as np
import pytest
from fakecuda.control import PinnedArray

from gpu_infer.backends.gpu.device import staging as gpu_staging
from gpu_infer.backends.gpu.device.upload_buffer import LARGEST

CHUNK = 4096

pytestmark = pytest.mark.gpu


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gpu_staging, "CHUNK", CHUNK)


@contextlib.contextmanager
def no_fault() -> Iterator[None]:
    yield


@contextlib.contextmanager
def no_wait_for_events() -> Iterator[None]:
    """The host goes on although the copy in front of an event has not run."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cupy.cuda.Event, "synchronize", lambda event: None)
        yield


@contextlib.contextmanager
def no_join_of_streams() -> Iterator[None]:
    """Our stream does not wait for the caller's, nor the caller's for ours."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cupy.cuda.Stream, "wait_event", lambda stream, event: None)
        yield


RANDOM = np.random.default_rng(0)


def numbers(nbytes: int) -> Any:
    """Other ones at each call: the contents of memory from an earlier check are never right by chance."""
    return RANDOM.integers(0, 256, nbytes, np.uint8)


def check_pinned_half_is_reused(backend: Any, fault: Callable[[], Any]) -> None:
    """Six chunks go up through two halves."""
    host = numbers(6 * CHUNK)
    with fault():
        array = backend.upload(host)
    np.testing.assert_array_equal(backend.download(array), host)


def check_half_of_tables_is_reused(backend: Any, fault: Callable[[], Any]) -> None:
    """Eight tables, each of 3/4 of a half, go up one after the other."""
    device = backend._device
    tables = [numbers(LARGEST * 3 // 4 + n) for n in range(8)]
    with fault(), device.section("tables"):
        arrays = [device.small_upload(table) for table in tables]
    for array, table in zip(arrays, tables, strict=True):
        np.testing.assert_array_equal(backend.download(array), table)


def check_pinned_half_is_emptied(backend: Any, fault: Callable[[], Any]) -> None:
    host = numbers(6 * CHUNK)
    array = backend.upload(host)
    with fault():
        result = backend.download(array)
    np.testing.assert_array_equal(result, host)


def check_callers_stream_comes_first(backend: Any, fault: Callable[[], Any]) -> None:
    """The caller writes an array on its own stream; we copy it."""
    host = numbers(CHUNK)
    with cupy.cuda.Stream(non_blocking=True) as stream:
        array, source = backend.zeros(host.shape, host.dtype), PinnedArray(host)
        source.copy_to(array, stream)
        with fault():
            result = backend.download(array)
    np.testing.assert_array_equal(result, host)


def check_callers_stream_comes_next(backend: Any, fault: Callable[[], Any]) -> None:
    """We fill an array; the caller copies it on its own stream."""
    host = numbers(CHUNK)
    with cupy.cuda.Stream(non_blocking=True) as stream:
        with fault():
            array = backend.upload(host)
        target = PinnedArray(np.zeros_like(host))
        target.copy_from(array, stream)
        stream.synchronize()
    np.testing.assert_array_equal(target.values, host)


def check_pinned_half_is_reused_while_a_volume_is_read(backend: Any, fault: Callable[[], Any]) -> None:
    """As above, chunk by chunk from the thread of an early upload."""
    host = numbers(6 * CHUNK)
    with fault(), backend.open_upload() as upload:
        upload.begin(host)
        for end in range(CHUNK, host.size + 1, CHUNK):
            upload.advance(end)
        array = upload.finish(host)
    np.testing.assert_array_equal(backend.download(array), host)


FAULTS = [
    (check_pinned_half_is_reused, no_wait_for_events),
    (check_pinned_half_is_reused_while_a_volume_is_read, no_wait_for_events),
    (check_half_of_tables_is_reused, no_wait_for_events),
    (check_pinned_half_is_emptied, no_wait_for_events),
    (check_callers_stream_comes_first, no_join_of_streams),
    (check_callers_stream_comes_next, no_join_of_streams),
]


@pytest.mark.parametrize(("check", "fault"), FAULTS)
def test_a_fault_changes_values(backend: Any, check: Callable[..., None], fault: Callable[[], Any]) -> None:
    check(backend, no_fault)
    with pytest.raises(AssertionError, match="Mismatched elements"):
        check(backend, fault)
