"""The author of a custom component in tests: writes a class, and runs it in a configuration."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
from config_files import component, load, lung, pre
from transforms_finish import finish
from transforms_oracle import volume_of

from gpu_infer.backends.base.backend import Backend
from gpu_infer.backends.cpu.backend import CpuBackend
from gpu_infer.config.config import Config
from gpu_infer.errors import ConfigError

HEAD = """
import math
import sys
import numpy as np
from gpu_infer.backends.resampling import linear_table
from gpu_infer.backends.tables import AxisTable, ClampedAffine
from gpu_infer.errors import ConfigError, Interrupted, ResourceError
from gpu_infer.transforms.base import *
from gpu_infer.transforms.base import ChannelMask, Measured

class Mine({kind}):
"""

DATA = np.arange(8 * 7 * 6, dtype=np.int16).reshape(8, 7, 6)


class Author:
    """Writes a component, and runs it in a configuration."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder = folder
        self.backend: Backend = CpuBackend()
        monkeypatch.syspath_prepend(folder)
        monkeypatch.delitem(sys.modules, "component_of_author", raising=False)

    def load(self, kind: str, body: str, *, post: bool = False, argmax: bool = True, loads: bool = False) -> Config:
        code = "".join(f"    {line}\n" for line in body.splitlines())
        (self.folder / "component_of_author.py").write_text(HEAD.format(kind=kind) + code, encoding="utf-8")
        sys.modules.pop("component_of_author", None)
        entry = {"path": "component_of_author.Mine", "args": {"fields": "model" if post else "image"}}
        to_labels = [component("ArgmaxAcrossChannels", fields="model")] if argmax else []
        to_labels.append(lung()["post_transforms"][-1])
        return load(
            self.folder,
            lung(
                pre_transforms=[entry] if loads else pre() if post else pre(entry),
                post_transforms=[entry, *to_labels] if post else to_labels,
            ),
        )

    def run(self, kind: str, body: str, *, post: bool = False, argmax: bool = True) -> None:
        """Every hook in the order of a run: of the checks, of the plan and with arrays."""
        pipeline = self.load(kind, body, post=post, argmax=argmax).pipeline()
        pipeline.describe()
        volume = volume_of(DATA)
        pipeline.trace(1, volume.geometry, np.int16)
        fields = pipeline.prepare(volume, self.backend)
        shape = fields["image"].shape
        result = np.zeros((2, *shape), np.float32) if post else np.zeros(shape, np.uint8)
        finish(pipeline, result, fields, self.backend)

    def refusal(self, kind: str, body: str, *, post: bool = False, argmax: bool = True) -> str:
        with pytest.raises(ConfigError) as caught:
            self.run(kind, body, post=post, argmax=argmax)
        place = "post_transforms[0]" if post else "pre_transforms[1]"
        start = f"{self.folder}/config_inference.json: {place}: Mine: "
        message = str(caught.value)
        assert message.startswith(start)
        assert "\n" not in message
        return message.removeprefix(start)


def returning(hook: str, value: str) -> str:
    """The body of a class whose hook returns an expression."""
    arguments = {"apply": "array, field, backend", "measure": "array, field, backend"}.get(hook, "field")
    return f"def {hook}(self, {arguments}):\n    return {value}"
