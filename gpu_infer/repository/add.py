"""Write repository entries from model files.

An entry has the layout of a stock Triton: config.pbtxt and 1/model.onnx. The local Triton has a backend of the same
name over Python's onnxruntime (backends/onnxruntime/model.py), so that both serve the same folder.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath

from gpu_infer.errors import ConfigError, ModelError
from gpu_infer.repository.entry import CONFIG, VERSION, Entry, Tensor, config_text
from gpu_infer.repository.graph import Graph, read_graph
from gpu_infer.repository.place import place_entry
from gpu_infer.triton.model.config_file import read_config_file

SLICES_PER_REQUEST = 16
"""max_batch_size of a model with a dynamic batch axis whose input has two spatial axes; with three, it is 1."""

_SLICE_AXES = 4  # batch, channels and two spatial axes
_FILE = "model.onnx"


def add_onnx(
    repository: Path,
    name: str,
    source: Path,
    *,
    rename: Mapping[str, str] | None = None,
    max_batch_size: int | None = None,
    replace: bool = False,
) -> Entry:
    """Write repository/name from an ONNX file and its external data files.

    If the first axis of every input and output is dynamic, it is the batch axis: max_batch_size is `max_batch_size`,
    else 1, or 16 for slices. Otherwise max_batch_size is 0 and `dims` are the graph's, a fixed batch included.

    Args:
        repository: Folder of model folders; created if it is missing.
        name: The model's name on the server.
        source: The ONNX file.
        rename: New names of inputs and outputs by their old ones.
        max_batch_size: Most windows in one request; 0: no batch axis, even if the first axis is dynamic.
        replace: Replace an entry of this name that was written by this function.

    Raises:
        ConfigError: the file, a name, the batch size or an existing entry.
        ModelError: the graph has inputs or outputs that Triton cannot serve, or onnxruntime does not load it.
        ResourceError: the folder cannot be written.
    """
    graph = read_graph(source, rename)
    if PurePosixPath(_FILE) in graph.data_files:
        raise ModelError(
            f"{source}: its data file is named {_FILE}, as the model will be", remedy="export with another name"
        )
    _check_loads(source)
    batch = _batch_size(graph, max_batch_size, source)
    first = 1 if batch else 0
    entry = Entry(
        folder=repository / name,
        backend="onnxruntime",
        inputs=tuple(Tensor(tensor.name, tensor.dtype, tensor.dims[first:]) for tensor in graph.inputs),
        outputs=tuple(Tensor(tensor.name, tensor.dtype, tensor.dims[first:]) for tensor in graph.outputs),
        max_batch_size=batch,
    )

    def write(folder: Path) -> None:
        version = folder / VERSION
        version.mkdir()
        if rename:
            (version / _FILE).write_bytes(graph.proto.SerializeToString())
        else:
            shutil.copyfile(source, version / _FILE)
        for path in graph.data_files:
            (version / path).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source.parent / path, version / path)
        files = [f"{VERSION}/{_FILE}", *(f"{VERSION}/{path}" for path in graph.data_files)]
        _write_config(folder, entry, files)

    place_entry(repository, name, write, replace=replace)
    return entry


def add_torchscript(
    repository: Path,
    name: str,
    source: Path,
    *,
    input_dims: Sequence[int],
    output_dims: Sequence[int],
    dtype: str = "FP32",
    max_batch_size: int = 1,
    replace: bool = False,
) -> Entry:
    """Write repository/name from a TorchScript file, for servers with Triton's PyTorch backend.

    A TorchScript file does not say its shapes: `input_dims` and `output_dims` are without the batch axis, a dynamic
    size is −1. Its tensors are named INPUT__0 and OUTPUT__0.

    Raises:
        ConfigError: the file, the dims, the name or an existing entry.
        ResourceError: the folder cannot be written.
    """
    if not source.is_file():
        raise ConfigError(f"{source} is not a file, expected a TorchScript model", remedy="correct the path")
    for option, dims in (("--dims", input_dims), ("--output-dims", output_dims)):
        if not dims or any(n == 0 or n < -1 for n in dims):
            raise ConfigError(
                f"{option}: found {list(dims)}, expected positive sizes, -1 for a dynamic one",
                remedy="give channels and spatial sizes, without the batch axis",
            )
    if max_batch_size < 0:
        raise ConfigError(f"--max-batch-size: found {max_batch_size}, expected 0 or more", remedy="correct it")
    entry = Entry(
        folder=repository / name,
        backend="pytorch",
        inputs=(Tensor("INPUT__0", dtype, tuple(input_dims)),),
        outputs=(Tensor("OUTPUT__0", dtype, tuple(output_dims)),),
        max_batch_size=max_batch_size,
    )

    def write(folder: Path) -> None:
        (folder / VERSION).mkdir()
        shutil.copyfile(source, folder / VERSION / "model.pt")
        _write_config(folder, entry, [f"{VERSION}/model.pt"])

    place_entry(repository, name, write, replace=replace)
    return entry


def _write_config(folder: Path, entry: Entry, files: Sequence[str]) -> None:
    (folder / CONFIG).write_text(config_text(entry, files), encoding="utf-8")
    read_config_file(folder / CONFIG)


def _batch_size(graph: Graph, requested: int | None, source: Path) -> int:
    tensors = (*graph.inputs, *graph.outputs)
    fixed = next((tensor for tensor in tensors if tensor.dims[0] != -1 or len(tensor.dims) < 2), None)
    if requested is not None and requested < 0:
        raise ConfigError(f"--max-batch-size: found {requested}, expected 0 or more", remedy="correct it")
    if fixed is not None:
        if requested:
            raise ConfigError(
                f"--max-batch-size {requested}: {fixed.name} of {source} has dims {list(fixed.dims)}, "
                "whose first axis is fixed",
                remedy="export the model with a dynamic batch axis, or leave --max-batch-size out",
            )
        return 0
    if requested is not None:
        return requested
    return SLICES_PER_REQUEST if all(len(t.dims) == _SLICE_AXES for t in graph.inputs) else 1


def _check_loads(source: Path) -> None:
    """Raise ModelError if onnxruntime does not load the file: its version of ONNX, an operator that it lacks."""
    try:
        import onnxruntime
    except ImportError as error:
        raise ConfigError(
            f"checking an ONNX file needs the package onnxruntime: {error}", remedy="pip install 'gpu-infer[models]'"
        ) from error
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 4  # the error is raised; its log line would stand beside it
    try:
        onnxruntime.InferenceSession(str(source), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime has a class of its own for each status
        words = " ".join(str(error).split())[:240]
        raise ModelError(
            f"onnxruntime {onnxruntime.__version__} does not load {source}: {words}",
            remedy="export the model with an older opset, or with standard operators alone",
        ) from error
