"""Small ONNX models for tests, built node by node."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

Dims = tuple[int | str, ...]


def threshold_model(
    path: Path,
    dims: Dims = ("N", 1, "X", "Y", "Z"),
    *,
    names: tuple[str, str] = ("image", "scores"),
    element: int = TensorProto.FLOAT,
    level: float = 0.5,
    **save: Any,
) -> Path:
    """scores [N, 2, …] = (1 − x, x + 1 − 2·level): argmax is 1 exactly if x > level."""
    dtype = helper.tensor_dtype_to_np_dtype(element)
    initializers = [
        numpy_helper.from_array(np.asarray(1, dtype), "one"),
        numpy_helper.from_array(np.asarray(1 - 2 * level, dtype), "shift"),
    ]
    nodes = [
        helper.make_node("Sub", ["one", names[0]], ["background"]),
        helper.make_node("Add", [names[0], "shift"], ["object"]),
        helper.make_node("Concat", ["background", "object"], [names[1]], axis=1),
    ]
    return save_model(
        path,
        nodes,
        [helper.make_tensor_value_info(names[0], element, dims)],
        [helper.make_tensor_value_info(names[1], element, (dims[0], 2, *dims[2:]))],
        initializers,
        **save,
    )


def save_model(
    path: Path, nodes: list[Any], inputs: list[Any], outputs: list[Any], initializers: list[Any], **save: Any
) -> Path:
    """Check and write a model; `save` has onnx.save's arguments, of external data for example."""
    graph = helper.make_graph(nodes, "graph", inputs, outputs, initializers)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    onnx.checker.check_model(model)
    onnx.save(model, str(path), **save)
    return path


def channels_model(path: Path, inputs: int, outputs: int, spatial: int) -> Path:
    """scores [N, outputs, …]: each the mean of all channels, by a convolution with a kernel of one voxel."""
    sizes = ("X", "Y", "Z")[:spatial]
    weight = np.full((outputs, inputs, *(1,) * spatial), 1 / inputs, np.float32)
    return save_model(
        path,
        [helper.make_node("Conv", ["image", "weight"], ["scores"])],
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, ("N", inputs, *sizes))],
        [helper.make_tensor_value_info("scores", TensorProto.FLOAT, ("N", outputs, *sizes))],
        [numpy_helper.from_array(weight, "weight")],
    )
