"""Tests of arrays on a device, for simulated CUDA and for a real device: the values are those of the CPU."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from gpu_infer import sliding_window_inference, zoom
from gpu_infer.compat.zoom.axis import MODES


def noise(shape: tuple[int, ...], dtype: str, seed: int = 0) -> NDArray[Any]:
    actual = np.random.default_rng(seed).normal(size=shape) * 50
    kind = np.dtype(dtype).kind
    if kind == "c":
        return (actual + 1j * actual[::-1]).astype(dtype)
    if kind == "b":
        return actual > 0
    return (np.abs(actual) if kind == "u" else actual).astype(dtype)


class Two:
    """A predictor on the host; `on` returns it for a backend's arrays: the test copies voxels to the host and back."""

    def __init__(self, answer: Any) -> None:
        self.answer = answer
        self.seen: list[NDArray[Any]] = []

    def __call__(self, window: NDArray[Any], *args: Any, **kwargs: Any) -> Any:
        self.seen.append(np.array(window))
        return self.answer(window, *args, **kwargs)

    def on(self, backend: Any) -> Any:
        def up(value: Any) -> Any:
            if isinstance(value, dict):
                return {key: up(v) for key, v in value.items()}
            return tuple(map(up, value)) if isinstance(value, tuple) else backend.upload(value)

        def predict(window: Any, *args: Any, **kwargs: Any) -> Any:
            here = {key: backend.download(v) if hasattr(v, "data") else v for key, v in kwargs.items()}
            return up(self(backend.download(window), *args, **here))

        return predict


def place(shape: tuple[int, ...]) -> NDArray[np.float32]:
    """Numbers that differ between the voxels of a window."""
    axes = [np.arange(n).reshape([-1 if a == axis else 1 for a in range(len(shape))]) for axis, n in enumerate(shape)]
    return sum((axis + 1) * line for axis, line in enumerate(axes)).astype(np.float32)  # type: ignore[union-attr]


def ramp(window: NDArray[Any]) -> NDArray[Any]:
    mean = window.astype(np.float32).mean(1, keepdims=True)
    return np.concatenate([mean + 0.1 * place(window.shape[2:]), np.cos(mean)], 1).astype(np.float32)


def several(window: NDArray[Any]) -> Any:
    coarse = ramp(window)[(..., *(slice(None, None, 2),) * (window.ndim - 2))]
    return {"wide": ramp(window).astype(np.float64), "coarse": coarse, "labels": (window > 0).astype(np.uint8)}


CASES: list[tuple[tuple[int, ...], Any, str, dict[str, Any], Any]] = [
    ((1, 1, 12, 11, 10), (6, 5, 4), "f4", {}, ramp),
    ((2, 3, 12, 11, 10), (6, 5, 4), "f4", {"mode": "gaussian", "overlap": 0.5}, ramp),
    ((2, 1, 9, 8, 7), (6, 12, 4), "f4", {"mode": "gaussian", "cval": -2.5}, ramp),
    ((1, 2, 9, 8, 7), (12, 12, 10), "f4", {"padding_mode": "replicate"}, ramp),
    ((1, 2, 9, 8), (12, 10), "f4", {"padding_mode": "reflect", "mode": "gaussian"}, ramp),
    ((1, 2, 9, 8), (12, 10), "i2", {"padding_mode": "circular"}, ramp),
    ((3, 1, 20), (24,), "u1", {"cval": 7.0}, ramp),
    ((1, 1, 30), (8,), "f8", {"overlap": 0.6}, ramp),
    ((1, 1, 10, 10), (4, 4), "f2", {"mode": "gaussian"}, ramp),
    ((1, 1, 10, 10), (4, 4), "?", {}, ramp),
    ((1, 1, 4, 5, 6, 7), (3, 4, 4, 4), "f4", {"mode": "gaussian"}, ramp),
    ((1, 1, 4, 3, 6, 7), (6, 4, 4, 4), "f4", {}, ramp),
    ((2, 1, 12, 12, 12), (6, 6, 6), "f4", {"mode": "gaussian"}, several),
    ((1, 1, 5, 12), (8, 6), "f4", {}, several),
    ((1, 1, 12, 12), (6, 6), "f4", {}, lambda w: (ramp(w), ramp(w)[:, :1].astype(np.float16))),
    ((1, 1, 10, 9, 8), (6, 12, 6), "f4", {"grid": "clara"}, ramp),
    ((1, 1, 10, 9, 8), (6, 6, 6), "i4", {"grid": "clara"}, ramp),
    ((1, 1, 10, 9, 8), (6, 12, 6), "f4", {"grid": "nnunet", "mode": "gaussian"}, ramp),
    ((1, 1, 12, 12), (6, 6), "f4", {"buffer_steps": 2, "buffer_dim": 0, "mode": "gaussian"}, ramp),
    ((1, 1, 12, 12), (6, 6), "f4", {"roi_weight_map": place((6, 6)) + 1}, ramp),
    ((1, 1, 40, 70, 60), (24, 64, 50), "f4", {"mode": "gaussian"}, ramp),
    ((1, 1, 30, 26, 9), (8, 6, 9), "f4", {"overlap": 0.5, "mode": "gaussian"}, ramp),
    ((1, 1, 30, 41), (8, 6), "f2", {"grid": "nnunet", "mode": "gaussian", "buffer_steps": 2}, ramp),
]

FACTORS: list[Any] = [0.4, 1.7, 3]


class DeviceCases:
    """For a fixture `backend`."""

    @pytest.mark.parametrize("batch", [1, 3, 50])
    @pytest.mark.parametrize(("shape", "roi", "dtype", "options", "answer"), CASES)
    def test_windows(
        self, backend: Any, shape: Any, roi: Any, dtype: str, options: Any, answer: Any, batch: int
    ) -> None:
        image = noise(shape, dtype)
        host, device = Two(answer), Two(answer)
        expected = sliding_window_inference(image, roi, batch, host, **options)
        actual = sliding_window_inference(backend.upload(image), roi, batch, device.on(backend), **options)
        assert len(host.seen) == len(device.seen)
        for a, b in zip(host.seen, device.seen, strict=True):
            assert a.dtype == b.dtype
            np.testing.assert_array_equal(b, a)
        assert type(actual) is type(expected) or not isinstance(expected, (dict, tuple))
        pairs = expected.items() if isinstance(expected, dict) else enumerate(expected)
        if isinstance(expected, np.ndarray):
            pairs, actual = [(0, expected)], [actual]
        for key, values in pairs:
            assert type(actual[key]) is type(backend.empty((1,), "f4"))
            assert actual[key].dtype == values.dtype
            np.testing.assert_allclose(backend.download(actual[key]), values, rtol=1e-6, atol=1e-6, equal_nan=True)

    def test_nothing_but_tables_and_maps_crosses_the_bus(self, backend: Any) -> None:
        image = backend.upload(noise((1, 1, 20, 20, 20), "f4"))
        backend.start_run()
        sliding_window_inference(image, (8, 8, 8), 4, lambda window: window, mode="gaussian")
        counted = backend.counters()
        assert counted["bytes_up"] == 4 * 8**3  # the importance map
        assert counted["bytes_down"] == counted["tile_bytes_down"] == counted["tile_bytes_up"] == 0
        backend.start_run()
        zoom(image, 1.5, order=1)
        counted = backend.counters()
        assert counted["bytes_up"] == counted["bytes_down"] == 0

    def test_another_shape_compiles_nothing(self, backend: Any) -> None:
        backend.warm_up()
        backend.start_run()
        for shape, dtype in (((1, 1, 9, 8), "i2"), ((1, 2, 7, 6, 5), "f4"), ((1, 1, 40), "f8")):
            image = backend.upload(noise(shape, dtype))
            sliding_window_inference(image, 4, 3, lambda window: window)
            zoom(image, 1.3, order=1, mode="grid-wrap", grid_mode=True)
        assert backend.counters()["kernels_compiled"] == backend.counters()["modules_loaded"] == 0

    def test_conditions_coordinates_and_process_fn(self, backend: Any) -> None:
        image, condition = noise((2, 1, 9, 10), "f4"), noise((2, 2, 9, 10), "i4", 1)
        places: list[Any] = []

        def answer(window: Any, coordinates: Any, condition: Any) -> Any:
            places.append(coordinates)
            return ramp(window) + condition.sum(1, keepdims=True)

        def weigh(outputs: Any, windows: Any, weights: Any) -> Any:
            doubled = 2 * np.asarray(weights if isinstance(weights, np.ndarray) else backend.download(weights))
            return outputs, doubled if isinstance(weights, np.ndarray) else backend.upload(doubled)

        options: dict[str, Any] = {"with_coord": True, "process_fn": weigh, "mode": "gaussian"}
        host, device = Two(answer), Two(answer)
        expected = sliding_window_inference(image, (5, 12), 3, host, condition=condition, **options)
        actual = sliding_window_inference(
            backend.upload(image), (5, 12), 3, device.on(backend), condition=backend.upload(condition), **options
        )
        np.testing.assert_allclose(backend.download(actual), expected, rtol=1e-6, atol=1e-6)
        assert places[: len(places) // 2] == places[len(places) // 2 :]

    def test_a_weight_map_on_the_device(self, backend: Any) -> None:
        image, weights = noise((1, 1, 9, 10), "f4"), (place((5,)) + 1).astype("f8")
        expected = sliding_window_inference(image, (5, 5), 3, ramp, roi_weight_map=weights)
        predictor = Two(ramp).on(backend)
        actual = sliding_window_inference(
            backend.upload(image), (5, 5), 3, predictor, roi_weight_map=backend.upload(weights)
        )
        np.testing.assert_allclose(backend.download(actual), expected, rtol=1e-6, atol=1e-6)

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            ({"predictor": lambda window: np.zeros((1, 1, 4, 4))}, "found a ndarray in host memory, expected an array"),
            ({"sw_device": "cpu"}, "sw_device: found cpu, windows and results stay on the inputs' device, cuda:0"),
            ({"device": "cuda:7"}, "device: found cuda:7"),
            ({"roi_weight_map": np.ones((3, 3), "f4")}, r"a weight map of shape \(1, 1, 3, 3\) does not fit"),
            ({"padding_mode": "mirrored"}, "padding_mode: found 'mirrored'"),
            ({"roi_size": 9, "cval": 1e39}, "cval: found 1e\\+39, expected a number from -3.4.* for float32 images"),
        ],
    )
    def test_what_a_device_does_not_do_is_refused(self, backend: Any, arguments: Any, message: str) -> None:
        image = backend.upload(noise((1, 1, 8, 8), "f4"))
        merged = {"predictor": lambda window: window, "roi_size": 4, "sw_batch_size": 1, **arguments}
        with pytest.raises(ValueError, match=message):
            sliding_window_inference(image, **merged)

    @pytest.mark.parametrize("cval", [300, -1, 255.5, np.nan])
    def test_constants_that_integers_cannot_hold(self, backend: Any, cval: float) -> None:
        image = backend.upload(noise((1, 1, 8, 8), "u1"))
        with pytest.raises(ValueError, match=f"cval: found {cval}, expected a number from 0 to 255 for uint8 images"):
            sliding_window_inference(image, 9, 1, lambda window: window, cval=cval)

    def test_a_stream_made_current_by_use_stays_current(self, backend: Any) -> None:
        """Also one that a with statement makes current; after it the previous stream is current again."""
        import cupy

        before = cupy.cuda.get_current_stream()
        outer, inner = (cupy.cuda.Stream(non_blocking=True) for _ in range(2))
        with outer:
            inner.use()
            backend.zeros((3,), "f4")
            assert cupy.cuda.get_current_stream().ptr == inner.ptr
        assert cupy.cuda.get_current_stream().ptr == before.ptr
        inner.use()
        try:
            zoom(backend.upload(noise((4, 5), "f4")), 2, order=1)
            assert cupy.cuda.get_current_stream().ptr == inner.ptr
        finally:
            before.use()

    # -- zoom ----------------------------------------------------------------------------------------------------
    @pytest.mark.parametrize("mode", MODES)
    @pytest.mark.parametrize("dtype", ["?", "u1", "i2", "u4", "i8", "f2", "f4", "f8", "c8", "c16"])
    def test_zoom(self, backend: Any, dtype: str, mode: str) -> None:
        for shape in ((7,), (5, 6), (3, 5, 4), (2, 3, 4, 2)):
            array = noise(shape, dtype)
            for factor in FACTORS:
                for how in (
                    {"order": 0},
                    {"order": 1},
                    {"order": 0, "grid_mode": True},
                    {"order": 1, "grid_mode": True},
                ):
                    self.compared(backend, array, factor, mode=mode, cval=3.6, **how)

    @pytest.mark.parametrize("output", ["f4", "f8", "i4", "u1", "i8", "?"])
    @pytest.mark.parametrize("dtype", ["u1", "i2", ">i2", "i8", "u8", "f4", ">f4", "f8", "f2"])
    def test_zoom_to_another_dtype(self, backend: Any, dtype: str, output: str) -> None:
        array = np.abs(noise((4, 6, 5), dtype)).astype(dtype)
        for order in (0, 1):
            self.compared(backend, array, (1, 1.6, 2), order=order, mode="reflect", output=output)
            self.compared(backend, array, 1, order=order, output=output)

    @pytest.mark.parametrize("output", [np.float32, np.dtype("f8"), float, "i2"])
    def test_zoom_to_a_dtype_by_any_of_its_names(self, backend: Any, output: Any) -> None:
        self.compared(backend, noise((4, 5), "f4"), 2, order=1, output=output)

    @pytest.mark.parametrize("view", [np.s_[::-1], np.s_[:, ::2], np.s_[:, :, 1:-1]])
    def test_zoom_of_views(self, backend: Any, view: Any) -> None:
        array = noise((6, 7, 8), "i2")
        for order in (0, 1):
            expected = zoom(array[view].transpose(2, 0, 1), 1.5, order=order)
            actual = zoom(backend.upload(array)[view].transpose(2, 0, 1), 1.5, order=order)
            np.testing.assert_array_equal(backend.download(actual), expected)

    def test_zoom_of_many_axes(self, backend: Any) -> None:
        array = noise((2, 2, 1, 3, 2, 2, 4, 3), "f4")
        self.compared(backend, array, (1, 1, 1, 2, 1, 1, 1.5, 2), order=1, mode="mirror")
        self.compared(backend, array, (1, 1, 1, 2, 1, 2, 1.5, 2), order=1, mode="mirror")
        self.compared(backend, array, 2, order=0, mode="mirror")

    def test_zoom_at_the_limits_of_integers(self, backend: Any) -> None:
        array = np.array([-(2**63), -1, 0, 2**53 + 1, 2**63 - 1])
        for output in ("i8", "u8", "u1", "i1"):
            self.compared(backend, array, 2, order=0, mode="nearest", output=output)
        array = np.array([0, 2**53 + 1, 2**64 - 1], "u8")
        for output in ("i8", "u8", "u4", "?"):
            self.compared(backend, array, 2, order=0, mode="nearest", output=output)

    def test_zoom_leaves_samples_without_weight_out(self, backend: Any) -> None:
        array = np.array([1, np.inf, 2, np.nan, 3], "f8")
        for dtype in ("f2", "f4", "f8"):
            self.compared(backend, array.astype(dtype), 9 / 5, order=1, mode="nearest")

    def test_zoom_into_an_array(self, backend: Any) -> None:
        array = noise((4, 5), "f4")
        out = backend.zeros((8, 10), "f8")
        assert zoom(backend.upload(array), 2, out, order=1) is out
        np.testing.assert_allclose(backend.download(out), zoom(array, 2, "f8", order=1), rtol=0, atol=1e-12)
        uploaded = backend.upload(array)
        zoom(uploaded, 1, uploaded[::-1], order=0, prefilter=False)
        np.testing.assert_array_equal(backend.download(uploaded), array[::-1])

    def test_zooms_to_nothing(self, backend: Any) -> None:
        assert zoom(backend.upload(noise((3, 4), "f4")), (0.1, 1), order=1).shape == (0, 4)

    def test_what_a_device_does_not_zoom_is_refused(self, backend: Any) -> None:
        array = backend.upload(noise((2, 2, 2, 2, 2), "f4"))
        with pytest.raises(ValueError, match="5 axes are interpolated, on the device 4 at most"):
            zoom(array, 3, order=1)
        many = backend.upload(noise((2,) * 9, "f4"))
        with pytest.raises(ValueError, match="9 axes, on the device 8 at most"):
            zoom(many, 2, order=0)
        with pytest.raises(ValueError, match="order 3 is not supported"):
            zoom(array, 2)
        with pytest.raises(RuntimeError, match=r"output shape not correct: found \(3,\), expected \(4, 4, 4, 4, 4\)"):
            zoom(array, 2, backend.zeros((3,), "f4"), order=0)
        with pytest.raises(ValueError, match="found a ndarray in host memory"):
            zoom(array, 2, np.zeros((4,) * 5), order=0)
        with pytest.raises(ValueError, match="on a CUDA device, the input is in host memory"):
            zoom(np.zeros(2), 2, backend.zeros((4,), "f4"), order=0)

    def compared(self, backend: Any, array: Any, factor: Any, **how: Any) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            expected = zoom(array, factor, **how)
            actual = backend.download(zoom(backend.upload(array), factor, **how))
        assert (actual.dtype, actual.shape) == (expected.dtype, expected.shape)
        # float32 between the constants of grid-constant is computed in float64 on the device
        atol = {"f4": 3e-5, "c8": 3e-5, "f2": 0.0, "f8": 1e-12, "c16": 1e-12}.get(actual.dtype.str[1:], 0.0)
        np.testing.assert_allclose(actual, expected, rtol=0, atol=atol, err_msg=f"{array.dtype} {array.shape} {how}")
