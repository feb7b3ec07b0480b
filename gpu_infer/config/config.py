"""A configuration after reading and checking."""

from __future__ import annotations

import hashlib
import inspect
import json
from copy import copy
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

import numpy as np
from pydantic import JsonValue

from gpu_infer.choices import Format
from gpu_infer.config.inferer import InfererSpec
from gpu_infer.config.own_writers import OwnWriter
from gpu_infer.inferers.base import Inferer
from gpu_infer.label_table.table import LabelTable
from gpu_infer.transforms.base import Transform
from gpu_infer.transforms.chain.pipeline import Pipeline
from gpu_infer.volume.series_rules import SeriesChoice
from gpu_infer.writers.base import Writer


@dataclass(frozen=True)
class Output:
    """A label map to write: its field, its integer dtype in the files, and its formats; empty: not given."""

    field: str
    dtype: np.dtype[np.generic]
    formats: tuple[Format, ...] = ()


@dataclass(frozen=True, eq=False)
class Config:
    """The content of a configuration file.

    path          the file
    pre, post     enabled transforms in order
    inferer       the model and its windows
    outputs       the label maps to write, at least one; the first is published
    extra         top-level keys without effect, as the file has them
    model_loader  read but not used: the server loads its models itself
    warnings      lines for the log and the report
    labels        names, colours and codes of the labels
    series        rules that choose a series of a DICOM study, None: the only one that is a volume
    own_inferer   the custom inferer, whose model `inferer` describes; None: a built-in one
    own_writers   custom writers; each writes labels of a field of `outputs`
    """

    path: Path
    pre: tuple[Transform, ...]
    post: tuple[Transform, ...]
    inferer: InfererSpec
    outputs: tuple[Output, ...]
    extra: dict[str, JsonValue]
    model_loader: JsonValue = None
    warnings: tuple[str, ...] = ()
    labels: LabelTable = field(default_factory=LabelTable)
    series: SeriesChoice | None = None
    own_inferer: Inferer | None = None
    own_writers: tuple[OwnWriter, ...] = ()

    @property
    def output_dtype(self) -> np.dtype[np.generic]:
        """dtype of the first output."""
        return self.outputs[0].dtype

    def for_one_run(self) -> Config:
        """The same with copies of all components: what their hooks set for one volume is not seen by another run.

        The copies are shallow. What a component has made when it was created, such as a table or a network, is shared.
        """
        return replace(
            self,
            pre=tuple(copy(transform) for transform in self.pre),
            post=tuple(copy(transform) for transform in self.post),
            own_inferer=copy(self.own_inferer),
            own_writers=tuple(replace(own, writer=copy(own.writer)) for own in self.own_writers),
        )

    def pipeline(self) -> Pipeline:
        """Both chains, checked and folded, with the fields to write."""
        fields = [output.field for output in self.outputs]
        label = "" if self.own_inferer is None else self.own_inferer.label
        return Pipeline(self.pre, self.post, outputs=fields, inferer=label)

    def hash(self) -> str:
        """SHA-256 in hexadecimal of everything that has an effect, without layout and ignored keys."""

        def component(transform: Transform | Inferer | Writer) -> list[object]:
            cls = type(transform)
            name, source = f"{cls.__module__}.{cls.__qualname__}", _source_digest(cls)
            return [name, transform.args.model_dump(mode="json"), *([source] if source else [])]

        effective: dict[str, object] = {
            "pre": [component(t) for t in self.pre],
            "post": [component(t) for t in self.post],
            # without several models the hash is that of older versions
            "inferer": self.inferer.model_dump(
                mode="json", exclude={"models", "combine"} if self.inferer.models is None else None
            ),
            "outputs": [[output.field, str(output.dtype), *output.formats] for output in self.outputs],
        }
        if self.labels.described:  # without names the hash is that of older versions
            effective["labels"] = [asdict(label) for label in self.labels.described.values()]
        if self.series is not None:
            effective["series"] = [rule.text for rule in self.series.selectors]
        if self.own_inferer is not None:
            effective["own_inferer"] = component(self.own_inferer)
        if self.own_writers:
            effective["own_writers"] = [[own.field, *component(own.writer)] for own in self.own_writers]
        return hashlib.sha256(json.dumps(effective, sort_keys=True).encode()).hexdigest()


def _source_digest(cls: type) -> str | None:
    """SHA-256 of the file of a custom component's class; None for those of this package, whose version counts."""
    if cls.__module__.partition(".")[0] == __package__.partition(".")[0]:
        return None
    try:
        return hashlib.sha256(Path(inspect.getfile(cls)).read_bytes()).hexdigest()
    except (OSError, TypeError):  # made without a file
        return None
