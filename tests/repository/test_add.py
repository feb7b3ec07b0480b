"""Entries from ONNX files: tensors, batch axis, names, data files, and nothing half-written."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from google.protobuf import text_format
from onnx import TensorProto, helper, numpy_helper
from onnx_files import save_model, threshold_model
from tritonclient.grpc import model_config_pb2

from gpu_infer.errors import ConfigError, ModelError
from gpu_infer.repository.add import add_onnx, add_torchscript
from gpu_infer.repository.remove import remove_entry


def parse(folder: Path) -> model_config_pb2.ModelConfig:
    return text_format.Parse((folder / "config.pbtxt").read_text(), model_config_pb2.ModelConfig())


def test_a_dynamic_first_axis_is_the_batch(tmp_path: Path) -> None:
    source = threshold_model(tmp_path / "net.onnx")
    entry = add_onnx(tmp_path / "models", "net", source)
    config = parse(entry.folder)
    assert (config.name, config.backend, config.max_batch_size) == ("net", "onnxruntime", 1)
    assert [(t.name, t.data_type, list(t.dims)) for t in config.input] == [
        ("image", model_config_pb2.TYPE_FP32, [1, -1, -1, -1])
    ]
    assert [(t.name, list(t.dims)) for t in config.output] == [("scores", [2, -1, -1, -1])]
    assert (entry.folder / "1/model.onnx").read_bytes() == source.read_bytes()
    assert sorted(p.name for p in (tmp_path / "models").iterdir()) == ["net"]


@pytest.mark.parametrize(
    ("dims", "requested", "batch", "expected"),
    [
        (("N", 1, 8, 8, 8), 4, 4, [1, 8, 8, 8]),
        (("N", 1, 8, 8, 8), 0, 0, [-1, 1, 8, 8, 8]),
        ((1, 1, 8, 8, 8), None, 0, [1, 1, 8, 8, 8]),
        (("N", 3, "H", "W"), None, 16, [3, -1, -1]),
    ],
)
def test_batch_and_dims(
    tmp_path: Path, dims: tuple[int | str, ...], requested: int | None, batch: int, expected: list[int]
) -> None:
    source = tmp_path / "net.onnx"
    save_model(
        source,
        [helper.make_node("Identity", ["a"], ["b"])],
        [helper.make_tensor_value_info("a", TensorProto.FLOAT16, dims)],
        [helper.make_tensor_value_info("b", TensorProto.FLOAT16, dims)],
        [],
    )
    config = parse(add_onnx(tmp_path, "net", source, max_batch_size=requested).folder)
    assert (config.max_batch_size, list(config.input[0].dims)) == (batch, expected)
    assert config.output[0].data_type == model_config_pb2.TYPE_FP16


def _copy(path: Path, name: str, dims: tuple[int | str, ...]) -> Path:
    values = [helper.make_tensor_value_info(each, TensorProto.FLOAT, dims) for each in (name, "b")]
    return save_model(path, [helper.make_node("Identity", [name], ["b"])], values[:1], values[1:], [])


def test_a_negative_size_is_dynamic(tmp_path: Path) -> None:
    """Triton refuses all models of a repository of which one has another negative size than −1."""
    entry = add_onnx(tmp_path / "models", "net", _copy(tmp_path / "net.onnx", "a", (-1, 1, -5, -1, 8)))
    assert entry.inputs[0].dims == (1, -1, -1, 8)


def test_names_that_cannot_be_printed_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"net\.onnx: the name 'x\\r\\x1b' has a character that cannot be printed"):
        add_onnx(tmp_path / "models", "net", _copy(tmp_path / "net.onnx", "x\r\x1b", ("N", 1, 8, 8, 8)))


def test_initializers_are_no_inputs(tmp_path: Path) -> None:
    value = helper.make_tensor_value_info
    source = save_model(
        tmp_path / "net.onnx",
        [helper.make_node("Add", ["a", "w"], ["b"])],
        [value("a", TensorProto.FLOAT, ("N", 1, 4, 4, 4)), value("w", TensorProto.FLOAT, (1,))],
        [value("b", TensorProto.FLOAT, ("N", 1, 4, 4, 4))],
        [numpy_helper.from_array(np.ones(1, np.float32), "w")],
    )
    assert [t.name for t in add_onnx(tmp_path, "net", source).inputs] == ["a"]


def test_new_names_compute_the_same(tmp_path: Path) -> None:
    source = threshold_model(tmp_path / "net.onnx", names=("NV_MODEL_INPUT:0", "scores:0"))
    names = {"NV_MODEL_INPUT:0": "NV_MODEL_INPUT", "scores:0": "NV_MODEL_OUTPUT"}
    entry = add_onnx(tmp_path, "net", source, rename=names)
    x = np.random.default_rng(1).random((2, 1, 4, 5, 6), np.float32)
    session = onnxruntime.InferenceSession(str(entry.folder / "1/model.onnx"))
    scores = session.run(["NV_MODEL_OUTPUT"], {"NV_MODEL_INPUT": x})[0]
    np.testing.assert_array_equal(scores, np.concatenate([1 - x, x], axis=1))
    assert parse(entry.folder).input[0].name == "NV_MODEL_INPUT"


@pytest.mark.parametrize("rename", [None, {"image": "x"}])
def test_external_data_are_copied(tmp_path: Path, rename: dict[str, str] | None) -> None:
    folder = tmp_path / "export"
    folder.mkdir()
    source = threshold_model(
        folder / "net.onnx", save_as_external_data=True, location="net.onnx.data", size_threshold=0
    )
    entry = add_onnx(tmp_path, "net", source, rename=rename)
    assert (entry.folder / "1/net.onnx.data").read_bytes() == (folder / "net.onnx.data").read_bytes()
    onnx.load(str(entry.folder / "1/model.onnx"))
    (folder / "net.onnx.data").unlink()
    with pytest.raises((ModelError, ConfigError)):
        add_onnx(tmp_path, "other", source)
    remove_entry(tmp_path, "net")
    assert not entry.folder.exists()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"rename": {"volume": "x"}}, "no input or output 'volume', it has: image, scores"),
        ({"rename": {"image": "scores"}}, "has the name 'scores' already"),
        ({"rename": {"image": "background"}}, "has the name 'background' already"),
        ({"max_batch_size": 2}, "whose first axis is fixed"),
    ],
)
def test_refused_and_nothing_written(tmp_path: Path, options: dict[str, object], words: str) -> None:
    source = threshold_model(tmp_path / "net.onnx", (1, 1, 8, 8, 8))
    with pytest.raises(ConfigError, match=words):
        add_onnx(tmp_path / "models", "net", source, **options)  # type: ignore[arg-type]
    assert not (tmp_path / "models").exists()


def test_what_is_no_model_is_refused(tmp_path: Path) -> None:
    (tmp_path / "net.onnx").write_bytes(b"no model")
    with pytest.raises(ConfigError, match="not a valid ONNX model"):
        add_onnx(tmp_path, "net", tmp_path / "net.onnx")


def test_an_entry_is_replaced_only_on_request(tmp_path: Path) -> None:
    first = threshold_model(tmp_path / "a.onnx", level=0.5)
    second = threshold_model(tmp_path / "b.onnx", level=0.25)
    entry = add_onnx(tmp_path, "net", first)
    with pytest.raises(ConfigError, match="exists already"):
        add_onnx(tmp_path, "net", second)
    assert (entry.folder / "1/model.onnx").read_bytes() == first.read_bytes()
    add_onnx(tmp_path, "net", second, replace=True)
    assert (entry.folder / "1/model.onnx").read_bytes() == second.read_bytes()


def test_folders_of_others_stay(tmp_path: Path) -> None:
    source = threshold_model(tmp_path / "net.onnx")
    entry = add_onnx(tmp_path, "net", source)
    (entry.folder / "notes.txt").write_text("mine")
    (tmp_path / "own").mkdir()
    (tmp_path / "own/config.pbtxt").write_text('backend: "python"\n')
    for name, words in (("net", "did not write: notes.txt"), ("own", "was not written by")):
        with pytest.raises(ConfigError, match=words):
            remove_entry(tmp_path, name)
        with pytest.raises(ConfigError, match=words):
            add_onnx(tmp_path, name, source, replace=True)
    assert (entry.folder / "1/model.onnx").is_file()
    assert (tmp_path / "own/config.pbtxt").is_file()


def test_a_torchscript_file_has_numbered_names(tmp_path: Path) -> None:
    (tmp_path / "net.pt").write_bytes(b"weights")
    dims = {"input_dims": (1, 96, 96, 96), "output_dims": (2, 96, 96, 96)}
    config = parse(add_torchscript(tmp_path, "net", tmp_path / "net.pt", **dims).folder)
    assert (config.backend, config.input[0].name, config.output[0].name) == ("pytorch", "INPUT__0", "OUTPUT__0")
    assert (tmp_path / "net/1/model.pt").read_bytes() == b"weights"
