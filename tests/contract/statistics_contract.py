"""What statistics and connected components have to be on every backend, against NumPy and SciPy."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from numpy.typing import NDArray
from prepare_contract import LAYOUTS, SOURCE_DTYPES, few, laid_out, values
from scipy import ndimage

from gpu_infer.backends.base.backend import Backend
from gpu_infer.backends.tables import ClampedAffine


def largest(labels: NDArray[np.generic], connectivity: int, only: tuple[int, ...] | None) -> NDArray[np.generic]:
    """One label after the other; SciPy numbers components in scan order, and argmax takes the first of equals."""
    out = labels.copy()
    for label in only if only is not None else [int(v) for v in np.unique(labels) if v]:
        parts, count = ndimage.label(labels == label, ndimage.generate_binary_structure(3, connectivity))
        if count:
            out[(parts > 0) & (parts != 1 + int(np.argmax(np.bincount(parts.ravel())[1:])))] = 0
    return out


def joined(labels: NDArray[np.generic], only: tuple[int, ...] | None) -> NDArray[np.bool_]:
    return labels > 0 if only is None else np.isin(labels, only)


def sized(
    labels: NDArray[np.generic], connectivity: int, only: tuple[int, ...] | None, least: int, together: bool
) -> NDArray[np.generic]:
    """Without components of fewer voxels, one label after the other or all together."""
    out = labels.copy()
    each = only if only is not None else [int(v) for v in np.unique(labels) if v]
    for mask in [joined(labels, only)] if together else [labels == label for label in each]:
        parts, _ = ndimage.label(mask, ndimage.generate_binary_structure(3, connectivity))
        sizes = np.bincount(parts.ravel())
        out[mask & (sizes[parts] < least)] = 0
    return out


COMPONENT_CASES = (
    st.tuples(*[st.integers(1, 9)] * 3),
    st.integers(0, 5),
    st.sampled_from((1, 2, 3)),
    st.sampled_from((None, (1,), (2, 3))),
    st.sampled_from(LAYOUTS),
    st.integers(0, 99),
)
"""Shape, highest label, connectivity, labels to treat, layout, seed."""


class StatisticsContract:
    @pytest.mark.parametrize("dtype", SOURCE_DTYPES)
    @pytest.mark.parametrize("nonzero_only", [True, False])
    def test_moments_of_every_dtype(self, backend: Backend, dtype: str, nonzero_only: bool) -> None:
        array = values((2, 5, 6, 7), dtype)
        array[array < array.mean()] = 0
        chosen = array[array != 0].astype(np.float64) if nonzero_only else array.astype(np.float64)
        actual = backend.masked_moments(backend.upload(array), nonzero_only)
        assert actual.voxels == chosen.size
        assert_allclose([actual.mean, actual.std], [chosen.mean(), chosen.std()], rtol=1e-12, atol=1e-12)

    @pytest.mark.parametrize("layout", LAYOUTS[::7])
    def test_moments_of_any_layout(self, backend: Backend, layout: tuple[tuple[int, ...], tuple[int, ...]]) -> None:
        array = values((3, 4, 5, 6))
        actual = backend.masked_moments(backend.upload(laid_out(array, *layout)), False)
        assert_allclose([actual.mean, actual.std], [array.mean(dtype=float), array.std(dtype=float)], rtol=1e-12)

    @pytest.mark.parametrize("layout", LAYOUTS[::11])
    def test_moments_of_a_part(self, backend: Backend, layout: tuple[tuple[int, ...], tuple[int, ...]]) -> None:
        """10 MB with gaps: more than is copied at a time."""
        array = values((2, 120, 110, 104))
        part = np.s_[:, 3:, 1:-1, :-5]
        actual = backend.masked_moments(backend.upload(laid_out(array, *layout))[part], True)
        chosen = array[part][array[part] != 0].astype(float)
        assert actual.voxels == chosen.size
        assert_allclose([actual.mean, actual.std], [chosen.mean(), chosen.std()], rtol=1e-11)

    def test_a_large_mean_does_not_cancel_the_deviation(self, backend: Backend) -> None:
        array = (1e6 + values((1, 20, 20, 20), seed=4) / 64).astype(np.float32)
        actual = backend.masked_moments(backend.upload(array), False)
        assert_allclose(actual.std, array.std(dtype=np.longdouble), rtol=1e-10)

    def test_moments_of_nothing_and_of_no_numbers(self, backend: Backend) -> None:
        zeros = backend.upload(np.zeros((1, 2, 3, 4), np.int16))
        assert backend.masked_moments(zeros, True) == (0, 0.0, 0.0)
        assert backend.masked_moments(zeros, False) == (24, 0.0, 0.0)
        broken = np.ones((1, 2, 3, 4), np.float32)
        broken[0, 1, 1, 1] = np.nan
        assert math.isnan(backend.masked_moments(backend.upload(broken), True).mean)
        with pytest.raises(ValueError, match=r"moments are taken of real \[C, X, Y, Z\]"):
            backend.masked_moments(zeros[0], True)

    @pytest.mark.parametrize("dtype", [np.float32, np.float16])
    @pytest.mark.parametrize("in_place", [True, False])
    def test_masked_affine(self, backend: Backend, dtype: type, in_place: bool) -> None:
        array = values((2, 5, 6, 7), dtype)
        array[array < 10] = 0
        array[0, 0, 0, :2] = np.inf, np.nan
        source = backend.upload(array.copy())
        out = source if in_place else backend.empty(array.shape, dtype)
        backend.masked_affine(source, out, ClampedAffine(0.5, -3.0, high=20.0))
        want = np.where(array != 0, np.minimum(array.astype(np.float32) * np.float32(0.5) - 3, 20), 0).astype(dtype)
        assert_array_equal(backend.download(out), want)

    @pytest.mark.parametrize("layout", LAYOUTS[::5])
    def test_masked_affine_of_any_layout(
        self, backend: Backend, layout: tuple[tuple[int, ...], tuple[int, ...]]
    ) -> None:
        array = values((2, 3, 4, 5))
        out = backend.upload(laid_out(np.zeros(array.shape, np.float32), *layout))
        backend.masked_affine(backend.upload(array), out, ClampedAffine(2.0, 1.0))
        assert_array_equal(backend.download(out), np.where(array != 0, 2 * array + 1, 0))

    @pytest.mark.parametrize("layout", LAYOUTS[::5])
    @pytest.mark.parametrize(("read", "written"), [("f4", "f4"), ("f4", "f2"), ("f2", "f4"), ("f2", "f2")])
    def test_affine_within_a_mask(
        self, backend: Backend, layout: tuple[tuple[int, ...], tuple[int, ...]], read: str, written: str
    ) -> None:
        array = values((2, 13, 4, 45)).astype(read)
        mask = (np.random.default_rng(3).random(array.shape) < 0.6).astype(np.uint8)
        array[0, 0, 0, :2], mask[0, 0, 0, :2] = np.nan, (0, 1)
        out = backend.upload(laid_out(np.full(array.shape, 7, written), *layout))
        stored = backend.upload(laid_out(mask, *LAYOUTS[9]))
        backend.masked_affine(backend.upload(array), out, ClampedAffine(0.5, 1.0, high=200.0), stored)
        want = np.where(mask, np.minimum(array.astype(np.float32) * np.float32(0.5) + 1, 200), 0).astype(written)
        assert_array_equal(backend.download(out), want)

    def test_masked_affine_refuses(self, backend: Backend) -> None:
        a, b = backend.zeros((1, 2, 2, 2), np.float32), backend.zeros((1, 2, 2, 3), np.float32)
        with pytest.raises(ValueError, match="masked_affine takes"):
            backend.masked_affine(a, b, ClampedAffine())
        with pytest.raises(ValueError, match="masked_affine takes float32 and float16, found float32 and float64"):
            backend.masked_affine(a, backend.zeros((1, 2, 2, 2), np.float64), ClampedAffine())
        with pytest.raises(ValueError, match=r"the mask must be uint8 \(1, 2, 2, 2\), found float32 \(1, 2, 2, 3\)"):
            backend.masked_affine(a, a, ClampedAffine(), b)

    @few
    @given(
        st.tuples(*[st.integers(1, 9)] * 3),
        st.integers(0, 5),
        st.sampled_from((1, 2, 3)),
        st.sampled_from((None, (1,), (2, 3))),
        st.sampled_from(LAYOUTS),
        st.integers(0, 99),
    )
    def test_largest_components(
        self,
        backend: Backend,
        shape: tuple[int, ...],
        top: int,
        connectivity: int,
        only: tuple[int, ...] | None,
        layout: tuple[tuple[int, ...], tuple[int, ...]],
        seed: int,
    ) -> None:
        labels = np.random.default_rng(seed).integers(0, top + 1, shape).astype(np.uint8)
        stored = backend.upload(laid_out(labels[None], *layout))[0]
        out = backend.empty(labels.shape, np.uint8)
        backend.largest_components(stored, connectivity, only, out)
        want = largest(labels, connectivity, only)
        assert_array_equal(backend.download(out), want)
        backend.largest_components(stored, connectivity, only, stored)
        assert_array_equal(backend.download(stored), want)

    @few
    @given(*COMPONENT_CASES, st.sampled_from((np.uint8, np.uint16)))
    def test_joined_and_small_components(
        self,
        backend: Backend,
        shape: tuple[int, ...],
        top: int,
        connectivity: int,
        only: tuple[int, ...] | None,
        layout: tuple[tuple[int, ...], tuple[int, ...]],
        seed: int,
        dtype: type,
    ) -> None:
        labels = np.random.default_rng(seed).integers(0, top + 1, shape).astype(dtype)
        labels[labels == 4] = np.iinfo(dtype).max
        out = backend.empty(labels.shape, dtype)
        foreground = joined(labels, only)
        want = np.where(foreground & (largest(foreground.astype(np.uint8), connectivity, None) == 0), 0, labels)
        for in_place in (False, True):
            stored = backend.upload(laid_out(labels[None].copy(), *layout))[0]
            target = stored if in_place else out
            backend.largest_components(stored, connectivity, only, target, joined=True)
            assert_array_equal(backend.download(target), want)
        for together, least in ((True, 3), (False, 2), (False, 5)):
            stored = backend.upload(laid_out(labels[None], *layout))[0]
            backend.remove_small_components(stored, connectivity, least, only, out, joined=together)
            assert_array_equal(backend.download(out), sized(labels, connectivity, only, least, together))

    @few
    @given(*COMPONENT_CASES, st.sampled_from((np.uint8, np.uint16)))
    def test_fill_holes(
        self,
        backend: Backend,
        shape: tuple[int, ...],
        top: int,
        connectivity: int,
        only: object,
        layout: tuple[tuple[int, ...], tuple[int, ...]],
        seed: int,
        dtype: type,
    ) -> None:
        rng = np.random.default_rng(seed)
        labels = np.where(rng.random(shape) < 0.75, 1, rng.integers(0, top + 1, shape)).astype(dtype)
        structure = ndimage.generate_binary_structure(3, connectivity)
        for label in (1, 2):
            want = np.where(ndimage.binary_fill_holes(labels == label, structure), label, labels)
            out = backend.upload(laid_out(np.zeros((1, *shape), dtype), *layout))[0]
            backend.fill_holes(backend.upload(labels), connectivity, label, out)
            assert_array_equal(backend.download(out), want)
            stored = backend.upload(laid_out(labels[None].copy(), *layout))[0]
            backend.fill_holes(stored, connectivity, label, stored)
            assert_array_equal(backend.download(stored), want)

    def test_holes_at_a_face_stay_and_those_across_an_edge_depend_on_the_connectivity(self, backend: Backend) -> None:
        labels = np.full((5, 5, 5), 300, np.uint16)
        labels[2, 2, 2], labels[0, 2, 2], labels[3, 3, 4], labels[3, 3, 3] = 0, 7, 0, 8
        labels[1, 1, 1], labels[0, 0, 0] = 9, 0  # they share a corner
        out = backend.empty(labels.shape, np.uint16)
        for connectivity, filled in ((1, [(1, 1, 1), (2, 2, 2)]), (3, [])):
            backend.fill_holes(backend.upload(labels), connectivity, 300, out)
            assert [tuple(int(v) for v in p) for p in np.argwhere(backend.download(out) != labels)] == filled

    @pytest.mark.parametrize("shape", [(3, 2, 700), (2, 300, 5), (70, 3, 2), (400, 1, 1), (1, 1, 600), (5, 40, 37)])
    @pytest.mark.parametrize("connectivity", [1, 2, 3])
    def test_largest_components_of_long_and_flat_maps(
        self, backend: Backend, shape: tuple[int, ...], connectivity: int
    ) -> None:
        """A voxel's number is taken apart whatever the sizes, and neighbours across an edge are none."""
        for dtype, share in ((np.uint8, 0.7), (np.uint16, 0.45)):
            rng = np.random.default_rng(7)
            labels = np.where(rng.random(shape) < share, rng.choice([1, 1, 1, 200], shape), 0).astype(dtype)
            stored = backend.upload(np.asfortranarray(labels))
            out = backend.empty(shape, dtype)
            backend.largest_components(stored, connectivity, None, out)
            assert_array_equal(backend.download(out), largest(labels, connectivity, None))

    def test_of_components_of_one_size_the_first_stays(self, backend: Backend) -> None:
        labels = np.zeros((4, 4, 4), np.uint16)
        labels[0, 3, 3] = labels[1, 0, 0] = labels[3, 3, 3] = 300
        stored = backend.upload(np.asfortranarray(labels))  # scan order is that of X, Y, Z, whatever the memory's
        out = backend.empty(labels.shape, np.uint16)
        backend.largest_components(stored, 1, None, out)
        assert [tuple(int(v) for v in p) for p in np.argwhere(backend.download(out))] == [(0, 3, 3)]

    def test_components_refuse(self, backend: Backend) -> None:
        labels = backend.zeros((2, 2, 2), np.uint8)
        for other, connectivity, message in (
            (backend.zeros((2, 2, 3), np.uint8), 1, "one dtype"),
            (backend.zeros((2, 2, 2), np.uint16), 1, "one dtype"),
            (labels, 6, "connectivity must be 1, 2 or 3, found 6"),
        ):
            with pytest.raises(ValueError, match=message):
                backend.largest_components(labels, connectivity, None, other)
            with pytest.raises(ValueError, match=message):
                backend.remove_small_components(labels, connectivity, 2, None, other)
            with pytest.raises(ValueError, match=message):
                backend.fill_holes(labels, connectivity, 1, other)
        for label in (0, 256):
            with pytest.raises(ValueError, match=f"label {label} is none of uint8"):
                backend.fill_holes(labels, 1, label, labels)
        for least in (-1, 1 << 32):
            with pytest.raises(ValueError, match=f"the least size must be in 0 … 4294967295, found {least}"):
                backend.remove_small_components(labels, 1, least, None, labels)
