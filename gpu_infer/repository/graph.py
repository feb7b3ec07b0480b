"""Read the inputs and outputs of an ONNX file, rename them, and list its external data files."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

from gpu_infer.errors import ConfigError, ModelError
from gpu_infer.repository.entry import Tensor

# ONNX's names of element types, and those of Triton's config.pbtxt.
_DTYPES = {
    "FLOAT": "FP32",
    "FLOAT16": "FP16",
    "BFLOAT16": "BF16",
    "DOUBLE": "FP64",
    **{f"{kind}{bits}": f"{kind}{bits}" for kind in ("INT", "UINT") for bits in (8, 16, 32, 64)},
    "BOOL": "BOOL",
}


class Graph(NamedTuple):
    """An ONNX model; its tensors have the batch axis, if there is one, and −1 for dynamic sizes."""

    proto: Any  # onnx.ModelProto without external data
    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]
    data_files: tuple[PurePosixPath, ...]  # relative to the file's folder


def read_graph(source: Path, rename: Mapping[str, str] | None = None) -> Graph:
    """Read an ONNX file; `rename` maps old names of inputs and outputs to new ones.

    Raises ConfigError for a file that is missing or not ONNX, a missing package, or names that do not fit; ModelError
    for a graph whose tensors Triton cannot serve.
    """
    onnx = _onnx()
    if not source.is_file():
        raise ConfigError(f"{source} is not a file, expected an ONNX model", remedy="correct the path")
    try:
        proto = onnx.load(str(source), load_external_data=False)
        onnx.checker.check_model(str(source))
    except OSError as error:
        raise ConfigError(
            f"{source} cannot be read: {error.strerror or error}", remedy="let this user read it"
        ) from error
    except Exception as error:  # protobuf's DecodeError, the checker's ValidationError
        words = " ".join(str(error).split())[:240]
        raise ConfigError(f"{source} is not a valid ONNX model: {words}", remedy="export the model again") from error
    if rename:
        _rename(proto, dict(rename), source)
    initializers = {tensor.name for tensor in proto.graph.initializer}
    inputs = tuple(_tensor(onnx, v, source) for v in proto.graph.input if v.name not in initializers)
    outputs = tuple(_tensor(onnx, v, source) for v in _with_shapes(onnx, proto))
    if not inputs or not outputs:
        raise ModelError(f"{source} has {len(inputs)} inputs and {len(outputs)} outputs, expected one of each at least")
    return Graph(proto, inputs, outputs, tuple(_data_files(onnx, proto, source)))


def _onnx() -> Any:
    try:
        import onnx
    except ImportError as error:
        raise ConfigError(
            f"reading an ONNX file needs the package onnx: {error}", remedy="pip install 'gpu-infer[models]'"
        ) from error
    return onnx


def _with_shapes(onnx: Any, proto: Any) -> Any:
    """The outputs; exporters may leave their shapes to inference."""
    if all(value.type.tensor_type.HasField("shape") for value in proto.graph.output):
        return proto.graph.output
    return onnx.shape_inference.infer_shapes(proto).graph.output


def _tensor(onnx: Any, value: Any, source: Path) -> Tensor:
    kind = value.type.tensor_type
    if not value.type.HasField("tensor_type") or not kind.HasField("shape"):
        raise ModelError(
            f"{source}: {value.name} is no tensor with a known number of axes",
            remedy="export the model with the shape of every input and output",
        )
    element = onnx.TensorProto.DataType.Name(kind.elem_type)
    if element not in _DTYPES:
        raise ModelError(
            f"{source}: {value.name} is {element}, which no input or output can be",
            remedy=f"export it as one of {', '.join(sorted(_DTYPES))}",
        )
    if not value.name.isprintable():  # config.pbtxt and logs name it
        raise ModelError(
            f"{source}: the name {value.name!r} has a character that cannot be printed",
            remedy="rename the tensor before the export",
        )
    # A negative size is dynamic for ONNX Runtime; Triton takes −1 alone.
    dims = tuple(max(d.dim_value, -1) if d.HasField("dim_value") else -1 for d in kind.shape.dim)
    if not dims or 0 in dims:
        raise ModelError(
            f"{source}: {value.name} has dims {list(dims)}, expected one axis at least and no empty one",
            remedy="export the model with other inputs and outputs",
        )
    return Tensor(value.name, _DTYPES[element], dims)


def _rename(proto: Any, names: dict[str, str], source: Path) -> None:
    """Rename inputs and outputs in place, in every node that uses them."""
    tensors = [value.name for value in (*proto.graph.input, *proto.graph.output)]
    for old, new in names.items():
        if old not in tensors:
            raise ConfigError(
                f"{source} has no input or output {old!r}, it has: {', '.join(dict.fromkeys(tensors))}",
                remedy="correct --rename OLD=NEW",
            )
        if not new:
            raise ConfigError(f"--rename {old}=: no new name given", remedy="expected OLD=NEW")
    unchanged = _value_names(proto.graph) - set(names)
    for new in names.values():
        if new in unchanged or list(names.values()).count(new) > 1:
            raise ConfigError(f"{source}: the graph has the name {new!r} already", remedy="choose another new name")
    for graph in _graphs(proto.graph):
        for value in (*graph.input, *graph.output, *graph.value_info, *graph.initializer):
            value.name = names.get(value.name, value.name)
        for sparse in graph.sparse_initializer:
            sparse.values.name = names.get(sparse.values.name, sparse.values.name)
        for note in graph.quantization_annotation:
            note.tensor_name = names.get(note.tensor_name, note.tensor_name)
        for node in graph.node:
            for words in (node.input, node.output):
                words[:] = [names.get(name, name) for name in words]


def _value_names(graph: Any) -> set[str]:
    names: set[str] = set()
    for part in _graphs(graph):
        names.update(value.name for value in (*part.input, *part.output, *part.value_info, *part.initializer))
        names.update(sparse.values.name for sparse in part.sparse_initializer)
        for node in part.node:
            names.update((*node.input, *node.output))
    return names


def _graphs(graph: Any) -> Iterator[Any]:
    """The graph and the graphs in its nodes (If, Loop, Scan)."""
    yield graph
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.HasField("g"):
                yield from _graphs(attribute.g)
            for part in attribute.graphs:
                yield from _graphs(part)


def _data_files(onnx: Any, proto: Any, source: Path) -> list[PurePosixPath]:
    """External data files, which must be in the folder of the model or below it."""
    tensors: list[Any] = []
    nodes = [node for function in proto.functions for node in function.node]
    for graph in _graphs(proto.graph):
        tensors += graph.initializer
        tensors += [part for sparse in graph.sparse_initializer for part in (sparse.values, sparse.indices)]
        nodes += graph.node
    for node in nodes:
        for attribute in node.attribute:
            tensors += [attribute.t, *attribute.tensors]
    files: dict[PurePosixPath, None] = {}
    for tensor in tensors:
        if tensor.data_location != onnx.TensorProto.EXTERNAL:
            continue
        location = next((item.value for item in tensor.external_data if item.key == "location"), "")
        path = PurePosixPath(location)
        if not location or path.is_absolute() or ".." in path.parts:
            raise ModelError(
                f"{source}: data file {location!r} is outside the folder of the model",
                remedy="save the model with its data file in the same folder",
            )
        if not (source.parent / path).is_file():
            raise ModelError(f"{source}: its data file {source.parent / path} is missing", remedy="copy it there")
        files[path] = None
    return list(files)
