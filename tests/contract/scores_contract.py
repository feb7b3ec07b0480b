"""What probabilities and entropies have to be on every backend, against NumPy in float64 and against the CPU's bits."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from gpu_infer.backends.base.backend import Backend
from gpu_infer.backends.base.scores import Improbable
from gpu_infer.backends.cpu.backend import CpuBackend

SHAPE = (5, 11, 40)


def _scores(channels: int, spread: float = 6.0, seed: int = 0) -> np.ndarray:
    values = np.random.default_rng(seed).normal(size=(channels, *SHAPE)) * spread
    return values.astype(np.float32)


def _softmax(scores: np.ndarray) -> np.ndarray:
    powers = np.exp(scores.astype(np.float64) - scores.max(axis=0).astype(np.float64))
    return powers / powers.sum(axis=0)


def _terms(p: np.ndarray) -> np.ndarray:
    return -np.where(p > 0, p * np.log(np.where(p > 0, p, 1)), 0)


class ScoresContract:
    @pytest.mark.parametrize("channels", [1, 2, 5, 20])
    def test_softmax(self, backend: Backend, channels: int) -> None:
        scores = _scores(channels, seed=channels)
        array = backend.upload(scores.copy())
        backend.probabilities(array, "softmax")
        values = backend.download(array)
        np.testing.assert_allclose(values, _softmax(scores), rtol=4e-6, atol=1e-38)
        np.testing.assert_allclose(values.sum(axis=0), 1, atol=1e-6)

    def test_sigmoid(self, backend: Backend) -> None:
        scores = _scores(3, spread=12.0)
        array = backend.upload(scores.copy())
        backend.probabilities(array, "sigmoid")
        np.testing.assert_allclose(
            backend.download(array), 1 / (1 + np.exp(-scores.astype(np.float64))), rtol=4e-7, atol=1e-37
        )

    def test_probabilities_as_they_are_are_limited(self, backend: Backend) -> None:
        array = backend.upload(np.array([-0.1, 0.0, 0.25, 1.0, 1.5, np.nan], np.float32).reshape(1, 1, 1, 6))
        backend.probabilities(array, "none")
        np.testing.assert_array_equal(backend.download(array).ravel(), [0, 0, 0.25, 1, 1, np.nan])

    def test_extreme_scores_and_nan(self, backend: Backend) -> None:
        columns = np.array([[300.0, -300.0], [-90.0, 0.0], [np.nan, 1.0], [1.0, np.nan], [-np.inf, 2.0]], np.float32)
        array = backend.upload(columns.T.reshape(2, 1, 1, 5).copy())
        backend.probabilities(array, "softmax")
        expected = [[1, 0], [0, 1], [np.nan] * 2, [np.nan] * 2, [0, 1]]
        np.testing.assert_array_equal(backend.download(array).reshape(2, 5).T, expected)
        array = backend.upload(np.array([300.0, -300.0, np.nan, np.inf, -np.inf, 0.0], np.float32).reshape(1, 1, 1, 6))
        backend.probabilities(array, "sigmoid")
        np.testing.assert_array_equal(backend.download(array).ravel(), [1, 0, np.nan, 1, 0, 0.5])

    @pytest.mark.parametrize("channels", [2, 5, 20])
    def test_entropy_of_classes(self, backend: Backend, channels: int) -> None:
        p = _softmax(_scores(channels, spread=2.0, seed=channels)).astype(np.float32)
        p[:, 0, 0, :2] = 0
        p[0, 0, 0, 0] = 1  # certain
        p[:, 0, 0, 1] = 1 / channels  # nothing is known
        out = backend.empty(SHAPE, np.float32)
        backend.entropy(backend.upload(p.copy()), True, out)
        values = backend.download(out)
        expected = _terms(p.astype(np.float64)).sum(axis=0) / np.log(channels)
        np.testing.assert_allclose(values, expected, atol=1e-6)
        assert values[0, 0, 0] == 0
        np.testing.assert_allclose(values[0, 0, 1], 1, atol=1e-6)
        assert values.max() <= 1

    @pytest.mark.parametrize("channels", [1, 3])
    def test_entropy_of_masks(self, backend: Backend, channels: int) -> None:
        p = np.random.default_rng(channels).random((channels, *SHAPE)).astype(np.float32)
        p[:, 0, 0, 0], p[:, 0, 0, 1], p[:, 0, 0, 2] = 1, 0, 0.5
        out = backend.empty(SHAPE, np.float32)
        backend.entropy(backend.upload(p.copy()), False, out)
        wide = p.astype(np.float64)
        expected = (_terms(wide) + _terms(1 - wide)).sum(axis=0) / (channels * np.log(2))
        np.testing.assert_allclose(backend.download(out), expected, atol=1e-6)
        np.testing.assert_allclose(backend.download(out)[0, 0, :3], [0, 0, 1], atol=1e-6)

    def test_a_nan_has_no_entropy(self, backend: Backend) -> None:
        p = np.array([0.5, np.nan, 1e-40, 0.5, 0.5, 1.0], np.float32).reshape(2, 1, 1, 3)
        out = backend.empty((1, 1, 3), np.float32)
        backend.entropy(backend.upload(p), True, out)
        values = backend.download(out).ravel()
        np.testing.assert_allclose(values[[0, 2]], [1, 0], atol=1e-6)
        assert np.isnan(values[1])

    def test_improbable_voxels_are_counted(self, backend: Backend) -> None:
        p = np.full((4, *SHAPE), 0.25, np.float32)
        assert backend.improbable(backend.upload(p), 1e-3) == Improbable(0, 0)
        p[0, 0, 0, :3] += 2e-3  # the sum alone is wrong
        p[:2, 1, 1, :5] += np.array([1.0, -1.0], np.float32)[:, None]  # the range alone
        p[2, 2] = np.nan  # counted elsewhere
        p[0, 3, 0, 0] += 5e-4  # within the tolerance
        assert backend.improbable(backend.upload(p), 1e-3) == Improbable(5, 3)

    @pytest.mark.parametrize("activation", ["softmax", "sigmoid", "none"])
    def test_bits_are_those_of_the_cpu_in_any_memory_order(self, backend: Backend, activation: str) -> None:
        scores = _scores(3, spread=20.0 if activation != "none" else 1.0)
        expected, uncertain = scores.copy(), np.empty(SHAPE, np.float32)
        CpuBackend().probabilities(expected, activation)
        CpuBackend().entropy(expected, activation == "softmax", uncertain)
        for axes in itertools.permutations((1, 2, 3)):
            back = (0, *(1 + axes.index(a) for a in (1, 2, 3)))
            array = backend.upload(scores.transpose(0, *axes).copy(order="C")).transpose(back)
            backend.probabilities(array, activation)
            np.testing.assert_array_equal(backend.download(array).view(np.uint32), expected.view(np.uint32))
            out = backend.empty([SHAPE[a - 1] for a in axes], np.float32).transpose([a - 1 for a in back[1:]])
            backend.entropy(array, activation == "softmax", out)
            np.testing.assert_array_equal(backend.download(out).view(np.uint32), uncertain.view(np.uint32))

    def test_probabilities_of_a_part(self, backend: Backend) -> None:
        scores = _scores(3)
        array = backend.upload(scores.copy())
        box = (slice(None), slice(1, 4), slice(10, 2, -2), slice(3, 38))
        backend.probabilities(array[box], "softmax")
        expected = scores.copy()
        part = expected[box].copy()
        CpuBackend().probabilities(part, "softmax")
        expected[box] = part
        np.testing.assert_array_equal(backend.download(array), expected)

    def test_what_operations_on_scores_refuse(self, backend: Backend) -> None:
        scores = backend.zeros((2, *SHAPE), np.float32)
        with pytest.raises(ValueError, match="scores must be native float32"):
            backend.probabilities(backend.zeros((2, *SHAPE), np.float16), "softmax")
        with pytest.raises(ValueError, match="activation 'relu', expected one of softmax, sigmoid, none"):
            backend.probabilities(scores, "relu")  # type: ignore[arg-type]
        with pytest.raises(ValueError, match="an entropy is float32"):
            backend.entropy(scores, True, backend.zeros(SHAPE, np.uint8))
        with pytest.raises(ValueError, match="one class alone has no entropy"):
            backend.entropy(scores[:1], True, backend.zeros(SHAPE, np.float32))
        with pytest.raises(ValueError, match="scores must be native float32"):
            backend.improbable(scores[0], 1e-3)
