"""What the filters of libraries have to be on every backend, against SciPy."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from prepare_contract import LAYOUTS, laid_out
from scipy import ndimage
from skimage import exposure

from gpu_infer.backends.base.backend import Backend
from gpu_infer.backends.filters import ball


class FiltersContract:
    @pytest.mark.parametrize("layout", LAYOUTS[::7])
    def test_gaussian_is_scipys(self, backend: Backend, layout: Any) -> None:
        array = np.random.default_rng(5).normal(size=(2, 9, 14, 20)).astype(np.float32)
        out = backend.upload(laid_out(np.zeros_like(array), *layout))
        backend.library_filter("gaussian", backend.upload(laid_out(array, *layout)), out, sigma=(0.7, 1.5, 2.0))
        for got, channel in zip(backend.download(out), array, strict=True):
            want = ndimage.gaussian_filter(channel, (0.7, 1.5, 2.0), mode="nearest", truncate=4.0)
            assert_allclose(got, want, atol=1e-5)

    @pytest.mark.parametrize("layout", LAYOUTS[::7])
    @pytest.mark.parametrize("radii", [(1.0, 1.0, 1.0), (2.5, 1.0, 0.5)])
    def test_morphology_is_scipys(self, backend: Backend, layout: Any, radii: tuple[float, float, float]) -> None:
        mask = (np.random.default_rng(6).random((2, 8, 12, 15)) > 0.3).astype(np.uint8)
        source, out = backend.upload(laid_out(mask, *layout)), backend.upload(laid_out(np.zeros_like(mask), *layout))
        backend.library_filter("erode", source, out, structure=ball(radii))
        for got, channel in zip(backend.download(out), mask, strict=True):
            assert_array_equal(got, ndimage.binary_erosion(channel, ball(radii), border_value=1))
        backend.library_filter("dilate", source, out, structure=ball(radii))
        for got, channel in zip(backend.download(out), mask, strict=True):
            assert_array_equal(got, ndimage.binary_dilation(channel, ball(radii)))

    @pytest.mark.parametrize("layout", LAYOUTS[::7])
    @pytest.mark.parametrize("size", [(3, 3, 3), (1, 5, 3)])
    def test_median_is_numpys(self, backend: Backend, layout: Any, size: tuple[int, int, int]) -> None:
        array = np.random.default_rng(8).normal(size=(2, 6, 9, 11)).astype(np.float32)
        out = backend.upload(laid_out(np.zeros_like(array), *layout))
        backend.library_filter("median", backend.upload(laid_out(array, *layout)), out, size=size)
        wide = np.pad(array, [(0, 0), *((n // 2, n // 2) for n in size)], mode="edge")
        windows = np.lib.stride_tricks.sliding_window_view(wide, size, axis=(1, 2, 3))
        assert_array_equal(backend.download(out), np.median(windows, axis=(-3, -2, -1)))

    @pytest.mark.parametrize("layout", LAYOUTS[::7])
    @pytest.mark.parametrize("shape", [(2, 18, 14, 16), (1, 17, 12, 3), (1, 4, 16, 4)])
    def test_adaptive_histograms_are_of_volumes(self, backend: Backend, layout: Any, shape: tuple[int, ...]) -> None:
        """A last axis of 3 or 4 voxels is no colour: the same values as with the axes in another order."""
        array = np.random.default_rng(9).random(shape, dtype=np.float32) ** 2
        out = backend.upload(laid_out(np.zeros_like(array), *layout))
        arguments = {"clip_limit": 0.03, "nbins": 64}
        source = backend.upload(laid_out(array, *layout))
        backend.library_filter("equalize_adapthist", source, out, kernel_size=(6, 4, 2), **arguments)
        for got, channel in zip(backend.download(out), array, strict=True):
            turned = np.ascontiguousarray(channel.transpose(2, 0, 1))
            want = exposure.equalize_adapthist(turned, kernel_size=(2, 6, 4), **arguments).transpose(1, 2, 0)
            assert_allclose(got, want, atol=2e-4)  # 2 of 2¹⁴ levels: sums in another order

    def test_filters_refuse_other_arrays(self, backend: Backend) -> None:
        array, out = backend.zeros((1, 4, 4, 4), np.float32), backend.zeros((1, 4, 4, 5), np.float32)
        with pytest.raises(ValueError, match="twice"):
            backend.library_filter("gaussian", array, out, sigma=1.0)
        with pytest.raises(ValueError, match="takes and writes uint8, found float32"):
            backend.library_filter("dilate", array, array)
