"""A configuration, read and checked."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from gpu_infer.transforms.base import Transform

from .inferer import InfererSpec


@dataclass(frozen=True, eq=False)
class Config:
    """What a configuration file says.

    path          the file
    pre, post     transforms in order, disabled ones left out
    inferer       the model and how it is fed
    output_dtype  integer dtype of the label map that is written
    extra         top-level keys that have no effect here, as they stand in the file
    model_loader  read and unused: the server loads its models itself
    warnings      one line each, for the log and the run report
    """

    path: Path
    pre: tuple[Transform, ...]
    post: tuple[Transform, ...]
    inferer: InfererSpec
    output_dtype: np.dtype[Any]
    extra: dict[str, Any]
    model_loader: Any = None
    warnings: tuple[str, ...] = ()

    def hash(self) -> str:
        """sha256 (hex) of everything that has an effect; layout and ignored keys have none."""

        def component(transform: Transform) -> list[Any]:
            cls = type(transform)
            return [f"{cls.__module__}.{cls.__qualname__}", transform.args.model_dump(mode="json")]

        effective = {
            "pre": [component(t) for t in self.pre],
            "post": [component(t) for t in self.post],
            "inferer": self.inferer.model_dump(mode="json"),
            "output_dtype": str(self.output_dtype),
        }
        return hashlib.sha256(json.dumps(effective, sort_keys=True).encode()).hexdigest()
