"""The one-input, one-output view of a model, and whether tiles fit it."""

from __future__ import annotations

import numpy as np
import pytest
from triton_fakes import tensors

from gpu_infer.errors import ModelError
from gpu_infer.triton.model.info import ModelConfig, ModelMetadata, TensorMetadata
from gpu_infer.triton.model.metadata import model_info

BATCHED = ModelConfig(max_batch_size=4, backend="python", decoupled=False)
UNBATCHED = ModelConfig(max_batch_size=0, backend="onnxruntime", decoupled=False)


def metadata(
    inputs: tuple[TensorMetadata, ...] = tensors((-1, 1, 320, 320, 64)),
    outputs: tuple[TensorMetadata, ...] = tensors((-1, 2, 320, 320, 64)),
    versions: tuple[str, ...] = ("1",),
    platform: str = "",
) -> ModelMetadata:
    return ModelMetadata("m", versions, platform, inputs, outputs)


def test_leading_batch_is_taken_off() -> None:
    info = model_info(metadata(versions=("2", "10", "9")), BATCHED)
    assert (info.name, info.version, info.platform) == ("m", "10", "python")
    assert (info.max_batch, info.batch_axis, info.fixed_batch) == (4, "leading", False)
    assert info.input.dims == (1, 320, 320, 64)
    assert info.output.dims == (2, 320, 320, 64)
    assert info.input.dtype == np.float32
    assert model_info(metadata(), BATCHED, "7").version == "7"


def test_half_precision() -> None:
    half = tensors((-1, 1, 8, 8, 8), datatype="FP16")
    info = model_info(metadata(inputs=half), BATCHED)
    assert (info.input.dtype, info.input.datatype) == (np.float16, "FP16")
    assert info.output.datatype == "FP32"


@pytest.mark.parametrize(
    ("first", "requested", "expected", "fixed"),
    [(-1, None, 1, False), (-1, 3, 3, False), (2, None, 2, True), (2, 5, 2, True), (1, None, 1, True)],
)
def test_explicit_batch_axis(first: int, requested: int | None, expected: int, fixed: bool) -> None:
    info = model_info(metadata(tensors((first, 1, 8, 8, 8)), tensors((first, 2, 8, 8, 8))), UNBATCHED, batch=requested)
    assert (info.max_batch, info.fixed_batch, info.batch_axis) == (expected, fixed, "leading")
    assert info.input.dims == (1, 8, 8, 8)


def test_no_batch_axis() -> None:
    info = model_info(metadata(tensors((1, 8, 8, 8)), tensors((2, 8, 8, 8))), UNBATCHED)
    assert (info.max_batch, info.batch_axis) == (1, "none")
    assert info.input.dims == (1, 8, 8, 8)


@pytest.mark.parametrize("datatype", ["UINT8", "INT32", "INT64"])
@pytest.mark.parametrize("shape", [(-1, 1, 8, 8, 8), (-1, 8, 8, 8)])
def test_labels(datatype: str, shape: tuple[int, ...]) -> None:
    info = model_info(metadata(outputs=tensors(shape, datatype=datatype)), BATCHED)
    assert info.answers_labels
    assert info.output.dims == shape[1:]
    assert not model_info(metadata(), BATCHED).answers_labels
    with pytest.raises(ModelError, match=f"input T0 is {datatype}, expected FP32 or FP16 .export"):
        model_info(metadata(inputs=tensors((-1, 1, 8, 8, 8), datatype=datatype)), BATCHED)


@pytest.mark.parametrize("datatype", ["BOOL", "INT8", "INT16", "UINT16", "UINT32", "UINT64", "FP64", "BF16", "BYTES"])
def test_other_datatypes_are_refused_by_name(datatype: str) -> None:
    other = tensors((-1, 1, 8, 8, 8), datatype=datatype)
    message = f"model m: output T0 is {datatype}, expected FP32 or FP16 (labels: UINT8, INT32, INT64)"
    with pytest.raises(ModelError) as caught:
        model_info(metadata(outputs=other), BATCHED)
    assert str(caught.value).startswith(message)
    with pytest.raises(ModelError, match=f"model m: input T0 is {datatype}, expected FP32 or FP16 "):
        model_info(metadata(inputs=other), BATCHED)


def test_slices() -> None:
    batched = model_info(metadata(tensors((-1, 1, 8, 8)), tensors((-1, 2, 8, 8))), BATCHED)
    assert (batched.max_batch, batched.batch_axis, batched.input.dims) == (4, "leading", (1, 8, 8))
    single = model_info(metadata(tensors((1, 8, 8)), tensors((2, 8, 8))), UNBATCHED)
    assert (single.max_batch, single.batch_axis, single.input.dims) == (1, "none", (1, 8, 8))


def test_four_dims_without_max_batch_size_are_what_the_configuration_says() -> None:
    four = metadata(tensors((-1, 1, 8, 8)), tensors((-1, 2, 8, 8)))
    assert model_info(four, UNBATCHED).input.dims == (-1, 1, 8, 8)
    slices = model_info(four, UNBATCHED, slices=True, batch=3)
    assert (slices.max_batch, slices.batch_axis, slices.input.dims) == (3, "leading", (1, 8, 8))
    with pytest.raises(ModelError, match="expected channels and two axes after the batch axis") as caught:
        model_info(metadata(), BATCHED, slices=True)
    assert "leave slice_axis, context and axes of the inferer out" in (caught.value.remedy or "")
    mixed = metadata(tensors((-1, 1, 8, 8)), tensors((-1, 2, 8, 8, 8)))
    with pytest.raises(ModelError, match=r"output T0 has dims \[-1, 2, 8, 8, 8\], expected channels and two axes"):
        model_info(mixed, BATCHED)


def test_choosing_by_name() -> None:
    two = tensors((-1, 2, 8, 8, 8), (-1, 9, 8, 8, 8))
    with pytest.raises(ModelError, match="has 2 outputs, expected one: T0, T1") as caught:
        model_info(metadata(outputs=two), BATCHED)
    assert "output_name" in (caught.value.remedy or "")
    assert model_info(metadata(outputs=two), BATCHED, output_name="T1").output.dims[0] == 9
    with pytest.raises(ModelError, match="has no output 'T7', it has: T0, T1"):
        model_info(metadata(outputs=two), BATCHED, output_name="T7")
    with pytest.raises(ModelError, match="has no input 'X', it has: T0"):
        model_info(metadata(), BATCHED, input_name="X")


def test_a_second_input_is_refused_even_when_one_is_named() -> None:
    """Triton needs every input in every request, so one of two can be chosen only if the other is optional."""
    two = tensors((-1, 1, 8, 8, 8), (-1, 3, 8, 8, 8))
    with pytest.raises(ModelError, match="has 2 inputs, expected one: T0, T1"):
        model_info(metadata(inputs=two), BATCHED)
    with pytest.raises(ModelError, match="also wants T0 in every request, expected T1 alone"):
        model_info(metadata(inputs=two), BATCHED, input_name="T1")
    optional = ModelConfig(4, "python", False, frozenset({"T0"}))
    assert model_info(metadata(inputs=two), optional, input_name="T1").input.dims[0] == 3


def test_an_optional_input_is_passed_over() -> None:
    two = tensors((-1, 1, 8, 8, 8), (-1, 3, 8, 8, 8))
    first = ModelConfig(4, "python", False, frozenset({"T0"}))
    assert model_info(metadata(inputs=two), first).input.name == "T1"
    both = ModelConfig(4, "python", False, frozenset({"T0", "T1"}))
    with pytest.raises(ModelError, match="has 2 inputs, expected one: T0, T1") as caught:
        model_info(metadata(inputs=two), both)
    assert "inferer.args.input_name" in (caught.value.remedy or "")
    assert model_info(metadata(inputs=two), both, input_name="T0").input.name == "T0"


def test_refusals() -> None:
    with pytest.raises(ModelError, match="decoupled"):
        model_info(metadata(), ModelConfig(4, "python", True))
    with pytest.raises(ModelError, match="input T0 is INT16, expected FP32 or FP16"):
        model_info(metadata(inputs=tensors((-1, 1, 8, 8, 8), datatype="INT16")), BATCHED)
    with pytest.raises(ModelError, match=r"output T0 has dims \[-1, 10\], expected channels and three axes"):
        model_info(metadata(outputs=tensors((-1, 10))), BATCHED)
    with pytest.raises(ModelError, match=r"input T0 has dims \[3\]"):
        model_info(metadata(inputs=tensors((3,))), UNBATCHED)
    with pytest.raises(ModelError, match="has 0 outputs"):
        model_info(metadata(outputs=()), BATCHED)
