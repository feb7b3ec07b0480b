"""A configuration, read and checked."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from gpu_infer.config.inferer import InfererSpec
from gpu_infer.transforms.base import Transform
from gpu_infer.transforms.chain.pipeline import Pipeline


@dataclass(frozen=True)
class Output:
    """A label map to write: the field that holds it, and its integer dtype in the file."""

    field: str
    dtype: np.dtype[Any]


@dataclass(frozen=True, eq=False)
class Config:
    """What a configuration file says.

    path          the file
    pre, post     transforms in order, disabled ones left out
    inferer       the model and how it is fed
    outputs       the label maps that are written, at least one; the first is what is published
    extra         top-level keys that have no effect here, as they stand in the file
    model_loader  read and unused: the server loads its models itself
    warnings      one line each, for the log and the run report
    """

    path: Path
    pre: tuple[Transform, ...]
    post: tuple[Transform, ...]
    inferer: InfererSpec
    outputs: tuple[Output, ...]
    extra: dict[str, Any]
    model_loader: Any = None
    warnings: tuple[str, ...] = ()

    @property
    def output_dtype(self) -> np.dtype[Any]:
        """dtype of the first output."""
        return self.outputs[0].dtype

    def pipeline(self) -> Pipeline:
        """Both chains, checked and folded, with the fields that are written."""
        return Pipeline(self.pre, self.post, outputs=[output.field for output in self.outputs])

    def hash(self) -> str:
        """sha256 (hex) of everything that has an effect; layout and ignored keys have none."""

        def component(transform: Transform) -> list[Any]:
            cls = type(transform)
            return [f"{cls.__module__}.{cls.__qualname__}", transform.args.model_dump(mode="json")]

        effective = {
            "pre": [component(t) for t in self.pre],
            "post": [component(t) for t in self.post],
            "inferer": self.inferer.model_dump(mode="json"),
            "outputs": [[output.field, str(output.dtype)] for output in self.outputs],
        }
        return hashlib.sha256(json.dumps(effective, sort_keys=True).encode()).hexdigest()
