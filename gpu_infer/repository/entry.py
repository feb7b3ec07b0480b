"""An entry of a model repository, and its config.pbtxt."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

CONFIG = "config.pbtxt"
VERSION = "1"
MARK = "# Written by gpu-infer models add; its files: "
"""The first line of config.pbtxt, followed by a JSON list of the entry's other files: what `remove` may delete."""


class Tensor(NamedTuple):
    """An input or output. `dtype` is Triton's name (FP32, FP16, INT64, …); a dynamic size is −1."""

    name: str
    dtype: str
    dims: tuple[int, ...]


@dataclass(frozen=True)
class Entry:
    """A model in a repository.

    max_batch_size  if above 0, the server adds a batch axis to `dims`, which are then without it
    """

    folder: Path
    backend: str
    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]
    max_batch_size: int

    @property
    def name(self) -> str:
        return self.folder.name


def config_text(entry: Entry, files: Sequence[str]) -> str:
    """config.pbtxt of an entry whose folder also has `files` (relative paths)."""
    return "".join(
        (
            f"{MARK}{json.dumps(list(files))}\n",
            f"name: {_quote(entry.name)}\n",
            f"backend: {_quote(entry.backend)}\n",
            f"max_batch_size: {entry.max_batch_size}\n",
            *(_tensor_text("input", tensor) for tensor in entry.inputs),
            *(_tensor_text("output", tensor) for tensor in entry.outputs),
            "instance_group [ { count: 1 } ]\n",
        )
    )


def _tensor_text(role: str, tensor: Tensor) -> str:
    dims = ", ".join(map(str, tensor.dims))
    return (
        f"{role} [\n  {{\n    name: {_quote(tensor.name)}\n    data_type: TYPE_{tensor.dtype}\n"
        f"    dims: [ {dims} ]\n  }}\n]\n"
    )


def _quote(text: str) -> str:
    """A string of protobuf's text format, which has C's escapes for backslash and quote."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'
