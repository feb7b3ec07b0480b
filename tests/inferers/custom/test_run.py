"""Custom inferers: the model that they call, what is made of their results, and what is refused."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from cudasim.simulated import simulated_cupy
from local_ring import LocalRing, position_dependent_model

from gpu_infer.backends.base.backend import Backend
from gpu_infer.backends.cpu.backend import CpuBackend
from gpu_infer.errors import ConfigError, ResourceError, ServerError
from gpu_infer.inferers.base import Inferer, ModelSizes
from gpu_infer.inferers.custom.client import ModelClient
from gpu_infer.inferers.custom.run import run_inferer, scratch_bytes
from gpu_infer.progress import Progress

WINDOW, GRID = (4, 3, 5), (8, 3, 5)


@pytest.fixture(params=["cpu", "gpu"])
def backend(request: pytest.FixtureRequest) -> Iterator[Backend]:
    if request.param == "cpu":
        yield CpuBackend()
        return
    with simulated_cupy() as module:
        yield module.GpuBackend()


def sizes_of(batch: int = 2, dtype: Any = np.float32) -> ModelSizes:
    return ModelSizes(GRID, WINDOW, batch, 1, 3, np.dtype(dtype))


def client_of(backend: Backend, *, slots: int = 2, batch: int = 2, events: list[Progress] | None = None) -> ModelClient:
    ring: Any = LocalRing(position_dependent_model, slots, batch, 1, WINDOW)
    return ModelClient(ring, backend, sizes_of(batch), (events if events is not None else []).append)


def random(*shape: int) -> Any:
    return np.random.default_rng(7).random(shape, dtype=np.float32)


class Given(Inferer):
    """Calls a function."""

    name = "Given"

    def __init__(self, function: Any, returns: Any = "scores") -> None:
        super().__init__()
        self.function, self.where = function, "c.json: inferer"
        self.returns = returns  # type: ignore[misc]

    def infer(self, volume: Any, model: Any, backend: Any) -> Any:
        return self.function(volume, model, backend)


def run(backend: Backend, function: Any, *, returns: str = "scores", finalizer: Any = "scores") -> Any:
    volume = backend.upload(random(1, *GRID))
    inferer = Given(function, returns)
    actual = run_inferer(inferer, volume, client_of(backend), backend, finalizer, lambda n: (0.2, 0.5, 0.9)[:n])
    return backend.download(actual)


def side_by_side(volume: Any, model: Any, backend: Any) -> Any:
    """Scores of the two windows that the grid has."""
    windows = backend.empty((2, 1, *WINDOW), np.float32)
    backend.gather(volume, [(0, 0, 0), (4, 0, 0)], windows, 0.0)
    answers, scores = model.infer(windows), backend.empty((3, *GRID), np.float32)
    for n in range(2):
        backend.gather(answers[n], [(0, 0, 0)], scores[None, :, 4 * n : 4 * n + 4], 0.0)
    return scores


def expected_scores() -> Any:
    volume = random(1, *GRID)
    return np.concatenate([position_dependent_model(volume[None, :, a : a + 4])[0] for a in (0, 4)], axis=1)


# -- the model ------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("count", [1, 2, 5, 9])
@pytest.mark.parametrize(("slots", "batch"), [(1, 1), (2, 2), (3, 4)])
def test_scores_of_any_number_of_windows(backend: Backend, count: int, slots: int, batch: int) -> None:
    windows, events = random(count, 1, *WINDOW), []
    client = client_of(backend, slots=slots, batch=batch, events=events)
    actual = backend.download(client.infer(backend.upload(windows)))
    np.testing.assert_array_equal(actual, position_dependent_model(windows))
    assert (actual.dtype, client.windows) == (np.float32, count)
    assert client._ring.most_in_flight == min(slots, -(-count // batch))
    assert [event.done for event in events] == [min(n, count) for n in range(batch, count + batch, batch)]
    assert all(event.total == max(event.done, 2) for event in events)  # two windows cover the grid


def test_half_precision_windows(backend: Backend) -> None:
    windows = random(3, 1, *WINDOW).astype(np.float16)
    actual = backend.download(client_of(backend).infer(backend.upload(windows)))
    np.testing.assert_array_equal(actual, position_dependent_model(windows.astype(np.float32)))


def test_a_view_that_runs_backwards(backend: Backend) -> None:
    windows = random(3, 1, *WINDOW)
    actual = backend.download(client_of(backend).infer(backend.upload(windows)[:, :, ::-1]))
    np.testing.assert_array_equal(actual, position_dependent_model(windows[:, :, ::-1]))


# -- results --------------------------------------------------------------------------------------------------------
def test_scores(backend: Backend) -> None:
    np.testing.assert_array_equal(run(backend, side_by_side), expected_scores())


def test_labels_of_scores(backend: Backend) -> None:
    actual = run(backend, side_by_side, finalizer="argmax")
    assert actual.dtype == np.uint8
    np.testing.assert_array_equal(actual, expected_scores().argmax(0))


def test_masks_of_scores(backend: Backend) -> None:
    actual = run(backend, side_by_side, finalizer="masks")
    assert actual.dtype == np.uint8
    np.testing.assert_array_equal(actual, expected_scores() > np.float32([0.2, 0.5, 0.9]).reshape(3, 1, 1, 1))


def test_labels_as_they_are(backend: Backend) -> None:
    labels = np.random.default_rng(1).integers(0, 3, GRID).astype(np.uint8)
    actual = run(backend, lambda *_: backend.upload(labels), returns="labels", finalizer="argmax")
    np.testing.assert_array_equal(actual, labels)


# -- refusals -------------------------------------------------------------------------------------------------------
def broken(volume: Any, model: Any, backend: Any) -> Any:
    raise KeyError("no such thing")


def leaves(volume: Any, model: Any, backend: Any) -> Any:
    raise SystemExit(3)


def writes(volume: Any, model: Any, backend: Any) -> Any:
    volume[...] = 0


def half_nan(volume: Any, model: Any, backend: Any) -> Any:
    scores = np.zeros((3, *GRID), np.float32)
    scores[1, 2, 1, 1] = np.nan
    return scores


@pytest.mark.parametrize(
    ("function", "returns", "message"),
    [
        (
            broken,
            "scores",
            "infer failed: KeyError: 'no such thing' (fix the component at test_run.py, line "
            f"{broken.__code__.co_firstlineno + 1}; --debug shows the traceback)",
        ),
        (leaves, "scores", "infer failed: it called sys.exit(3) (a component raises an exception to fail)"),
        (
            writes,
            "scores",
            "infer failed: ValueError: assignment destination is read-only (fields can share an array, so write into "
            "a copy of it)",
        ),
        (
            lambda *_: None,
            "scores",
            "infer: expected scores as a numpy array (3, 8, 3, 5) float32, found None (fix the component)",
        ),
        (
            lambda *_: np.zeros((3, *GRID)),
            "scores",
            "infer: expected scores as a numpy array (3, 8, 3, 5) float32, found ndarray (3, 8, 3, 5) float64 (fix "
            "the component)",
        ),
        (
            lambda *_: np.zeros((2, *GRID), np.float32),
            "scores",
            "infer: expected scores as a numpy array (3, 8, 3, 5) float32, found ndarray (2, 8, 3, 5) float32 (fix "
            "the component)",
        ),
        (
            half_nan,
            "scores",
            "infer: expected scores without NaN, found NaN (fix the computation: a division by 0, voxels that nothing "
            "sets)",
        ),
        (
            lambda *_: np.zeros(GRID, np.uint16),
            "labels",
            "infer: expected labels as a numpy array (8, 3, 5) uint8, found ndarray (8, 3, 5) uint16 (fix the "
            "component)",
        ),
        (
            lambda volume, model, backend: model.infer(np.zeros((2, 1, 4, 4, 4), np.float32)),
            "scores",
            "infer: expected model.infer to get a numpy array [N, 1, 4, 3, 5], N at least 1, found ndarray (2, 1, 4, "
            "4, 4) float32 (cut windows with backend.gather)",
        ),
        (
            lambda volume, model, backend: model.infer(np.zeros((0, 1, *WINDOW), np.float32)),
            "scores",
            "infer: expected model.infer to get a numpy array [N, 1, 4, 3, 5], N at least 1, found ndarray (0, 1, 4, "
            "3, 5) float32 (cut windows with backend.gather)",
        ),
        (
            lambda volume, model, backend: model.infer(np.zeros((2, 1, *WINDOW))),
            "scores",
            "infer: expected model.infer to get float32 or float16, found ndarray (2, 1, 4, 3, 5) float64 (allocate "
            "windows of model.sizes.dtype)",
        ),
    ],
)
def test_refuses(function: Any, returns: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        run(CpuBackend(), function, returns=returns, finalizer="argmax")
    assert str(caught.value) == f"c.json: inferer: Given: {message}"


def test_a_lack_of_memory_stays_one() -> None:
    def takes_all(volume: Any, model: Any, backend: Any) -> Any:
        return backend.empty((1 << 60,), np.uint8)

    with pytest.raises(ResourceError, match=r"^c\.json: inferer: Given: infer: "):
        run(CpuBackend(), takes_all)


def test_a_failed_request_ends_the_run_with_its_own_error() -> None:
    """Also if the inferer goes on without it, and no further request is sent."""
    calls = []

    def fails(windows: Any) -> Any:
        calls.append(1)
        raise ServerError("away")

    def goes_on(volume: Any, model: Any, backend: Any) -> Any:
        for _ in range(2):
            with pytest.raises(ServerError):
                model.infer(np.zeros((1, 1, *WINDOW), np.float32))
        return np.zeros((3, *GRID), np.float32)

    ring: Any = LocalRing(fails, 2, 2, 1, WINDOW)
    backend = CpuBackend()
    client = ModelClient(ring, backend, sizes_of(), lambda _: None)
    with pytest.raises(ServerError) as caught:
        run_inferer(Given(goes_on), random(1, *GRID), client, backend, "scores", lambda _: ())
    assert (str(caught.value), len(calls)) == ("away", 1)


def test_an_exception_of_the_progress_passes() -> None:
    class Stop(Exception):
        pass

    def stop(_: Progress) -> None:
        raise Stop

    backend = CpuBackend()
    ring: Any = LocalRing(position_dependent_model, 2, 2, 1, WINDOW)
    client = ModelClient(ring, backend, sizes_of(), stop)
    with pytest.raises(Stop):
        run_inferer(Given(side_by_side), random(1, *GRID), client, backend, "scores", lambda _: ())


# -- memory ---------------------------------------------------------------------------------------------------------
def test_bytes_by_default_are_two_batches() -> None:
    # 2 · 3 windows of 60 voxels, with one float16 channel in and three float32 channels out
    assert scratch_bytes(Given(None), sizes_of(3, np.float16)) == 6 * 60 * (2 + 12)


@pytest.mark.parametrize("value", [-1, 2.5, True, None])
def test_bytes_that_are_none(value: Any) -> None:
    inferer: Any = Given(None)
    inferer.scratch_bytes = lambda _: value
    with pytest.raises(
        ConfigError, match=r"^c\.json: inferer: Given: scratch_bytes: expected a number of bytes, found"
    ):
        scratch_bytes(inferer, sizes_of())
