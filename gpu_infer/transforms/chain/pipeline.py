"""The pipeline of one job: pre-transforms, the model, post-transforms, folded into as few passes as they
allow."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import DTypeLike

from gpu_infer.backends.base.backend import Array, Backend
from gpu_infer.backends.labels import label_dtype
from gpu_infer.backends.tables import ClampedAffine
from gpu_infer.errors import ConfigError, ModelError
from gpu_infer.transforms.base import Barrier, Branch, ChannelMask, ChannelReduction, Load, Regrid, Restore, Transform
from gpu_infer.transforms.chain.checks import check, check_outputs
from gpu_infer.transforms.chain.execution import Fields, check_channels, run, run_pass
from gpu_infer.transforms.chain.liveness import drop, needed_after, read_by
from gpu_infer.transforms.chain.restore import in_file_order, restore
from gpu_infer.transforms.chain.stages import FusedPass, Single, Stage, fold
from gpu_infer.transforms.chain.stored_types import readable, uploaded_dtype
from gpu_infer.transforms.chain.trace import Trace, Tracer
from gpu_infer.transforms.field import FieldState, Source
from gpu_infer.volume.geometry import Geometry
from gpu_infer.volume.volume import Volume

__all__ = ["Pipeline", "Trace", "fold"]

_log = logging.getLogger(__name__)
_FLOAT32 = np.dtype(np.float32)


class Pipeline:
    """Both chains of a configuration, checked and folded; holds no volume and can be used for many.

    input_field   the field that is loaded and goes to the model
    result_field  the field that the model's output becomes
    outputs       the fields that are written, label maps of one channel: the result field unless others are named
    finalizer      "argmax": the inferer delivers labels [X, Y, Z] (the accumulator takes the argmax row by
                  row); "masks": uint8 masks [K, X, Y, Z] (it compares with `cuts` row by row); "scores":
                  float32 scores [K, X, Y, Z]
    """

    def __init__(
        self,
        pre: Iterable[Transform],
        post: Iterable[Transform],
        *,
        result_field: str | None = None,
        outputs: Sequence[str] | None = None,
    ) -> None:
        """ConfigError where the chains cannot work, or leave no labels in `outputs`: see `checks`."""
        self.pre, self.post = tuple(pre), tuple(post)
        names = check(self.pre, self.post, result_field)
        self.input_field, self.result_field = names.input, names.result
        self.outputs = tuple(outputs) if outputs else (names.result,)
        check_outputs(names, self.outputs)
        done = _accumulated(self.post, self.result_field)
        self.finalizer: Literal["argmax", "masks", "scores"] = (
            "scores" if done is None else "masks" if isinstance(done, ChannelMask) else "argmax"
        )
        self._done = done
        self.pre_stages = fold(self.pre)
        self.post_stages = fold(t for t in self.post if t is not done)
        self._post_needs = needed_after(self.post_stages, self.outputs)
        kept = set(self.outputs).union(*(read_by(stage) for stage in self.post_stages))
        self._kept = kept & self._before_inference
        """Fields of the pre-transforms whose voxels the post-transforms read."""
        self._pre_needs = needed_after(self.pre_stages, {self.input_field, *self._kept})
        self._likely_classes()

    @property
    def grid_decided_by_voxels(self) -> bool:
        """True where the model's grid depends on voxel values: `trace` then gives an upper bound of it, and
        `prepare` the grid itself."""
        return any(t.decided_by_voxels for t in self.pre)

    @property
    def input_files(self) -> tuple[str, ...]:
        """Patterns of the files that become the channels of the input, in order; empty for one file of any name."""
        return self._load.files

    @property
    def nan(self) -> float | None:
        """Value in physical units for voxels of the file that are NaN or infinite; None: they stay."""
        return self._load.nan

    def cuts(self, classes: int) -> tuple[float, ...]:
        """What the scores of a channel are compared with, for each of `classes`, where `finalizer` is "masks"."""
        if not isinstance(self._done, ChannelMask):
            raise ValueError(f"only masks have cuts, this pipeline's inferer delivers {self.finalizer}")
        cuts = self._done.cuts
        return cuts if len(cuts) > 1 else cuts * classes

    # -- what it will do ------------------------------------------------------------------------------------
    def describe(self) -> list[str]:
        """Numbered lines, one per stage, as they will run."""
        lines = [_stage_line(s) for s in self.pre_stages]
        made = self._done.summary() + " by the accumulator, row by row" if self._done else "averaged scores"
        lines.append(f"inference: {self.input_field} -> {self.result_field}, {made}")
        lines += [_stage_line(s) for s in self.post_stages]
        for output in self.outputs:
            if self._leaves_grid(output):
                lines.append(f"{output}: back to the file's grid, nearest (no RestoreOriginalShape)")
            lines.append(f"{output}: delivered in the file's axis order")
        return [f"{n}. {line}" for n, line in enumerate(lines, start=1)]

    def trace(
        self,
        volume_channels: int,
        geometry: Geometry,
        stored_dtype: DTypeLike,
        dtype: DTypeLike = np.float32,
        classes: int | None = None,
    ) -> Trace:
        """Shapes, dtypes and bytes per stage for a volume, without touching a voxel.

        volume_channels, geometry, stored_dtype  of the volume (shape (I, J, K) in stored order)
        dtype                                    of the model's input
        classes                                  output channels of the model; where they are not known yet, as many
                                                 as the post-transforms are made for, or 2

        Where `grid_decided_by_voxels`, shapes are upper bounds. InputError where the stored dtype holds no numbers;
        ConfigError where `check_classes` refuses.
        """
        if classes is None:
            classes = self._likely_classes()
        self.check_classes(classes)
        tracer = Tracer()
        stored = uploaded_dtype(np.dtype(stored_dtype))
        state = self._loaded(volume_channels, geometry, stored)
        tracer.upload(state)
        fields: Fields = {self.input_field: state}
        for stage, needed in zip(self.pre_stages, self._pre_needs, strict=True):
            kind = self._stage_dtype(stage, np.dtype(dtype))
            tracer.step(_stage_line(stage), stage, fields, kind, needed)
        if state.dtype != np.dtype(dtype):
            tracer.cast(state, np.dtype(dtype))
        grid, channels, size, last = state.shape, state.channels, state.nbytes, state.channel_axis == "last"
        kept = tracer.keep(self._kept)
        fields[self.result_field] = result = self._result(state, classes)
        tracer.result(result)
        for stage, needed in zip(self.post_stages, self._post_needs, strict=True):
            tracer.step(_stage_line(stage), stage, fields, _FLOAT32, needed)
        for output in self.outputs:
            tracer.deliver(fields[output], restored=self._restored(output))
        kept -= size if self.input_field in self._kept else 0
        return Trace(tuple(tracer.stages), grid, channels, size, last, kept)

    # -- doing it -------------------------------------------------------------------------------------------
    def prepare(self, volume: Volume, backend: Backend, dtype: DTypeLike = np.float32) -> dict[str, FieldState]:
        """Run the pre-transforms: the fields by name, `fields[input_field].array` [C, X, Y, Z] of `dtype`.

        The voxels are uploaded once, as stored, and seen in loaded axes through strides; slope and
        intercept are the first function of the first pass.
        """
        wanted = np.dtype(dtype)
        data = readable(volume.data)
        state = self._loaded(volume.channels, volume.geometry, data.dtype, volume)
        state.array = state.source.orientation.view(backend.upload(data))
        fields: Fields = {self.input_field: state}
        for stage, needed in zip(self.pre_stages, self._pre_needs, strict=True):
            if isinstance(stage, FusedPass) and stage.load is not None:
                first = ClampedAffine(volume.slope, volume.inter)
                run_pass(stage, fields, self._stage_dtype(stage, wanted), backend, first)
            else:
                run(stage, fields, self._stage_dtype(stage, wanted), backend)
            drop(fields, needed)
        if state.dtype != wanted:
            out = backend.empty((state.channels, *state.shape), wanted)
            backend.resample(state.array, out, None, ClampedAffine(), ClampedAffine())
            state.array, state.dtype = out, wanted
        return fields

    def finish(
        self, result: Array, fields: dict[str, FieldState], backend: Backend, *, file_order: bool = True
    ) -> Array:
        """`finish_fields` of a pipeline with one output: its labels. ValueError where there are several."""
        if len(self.outputs) != 1:
            raise ValueError(f"finish gives one label map, this pipeline makes {', '.join(self.outputs)}")
        return self.finish_fields(result, fields, backend, file_order=file_order)[self.outputs[0]]

    def finish_fields(
        self, result: Array, fields: dict[str, FieldState], backend: Backend, *, file_order: bool = True
    ) -> dict[str, Array]:
        """Run the post-transforms on the inferer's result: `accept` and `deliver`, while `fields` stay as they are."""
        own = {name: state.copy() for name, state in fields.items()}
        self.accept(result, own)
        return self.deliver(own, backend, file_order=file_order)

    def accept(self, result: Array, fields: dict[str, FieldState]) -> None:
        """Put the inferer's result into `fields`, and drop the arrays that no post-transform reads.

        result  labels [X, Y, Z] where `finalizer` is "argmax", masks uint8 [K, X, Y, Z] where it is "masks",
                else float32 scores [K, X, Y, Z], on the model's grid
        fields  what `prepare` returned

        A caller that keeps no reference of its own has the memory given back as soon as it is read for the last time,
        which is what `trace` counts on. ModelError where the result's grid is not the model input's; ConfigError for a
        number of channels that the chain is not made for; ValueError for scores where masks are expected.
        """
        origin = fields[self.input_field]
        array = result[None] if self.finalizer == "argmax" else result
        if tuple(array.shape[1:]) != origin.shape:
            raise ModelError(f"the model's result has the grid {tuple(array.shape[1:])}, expected {origin.shape}")
        if self.finalizer == "masks" and array.dtype != np.uint8:
            raise ValueError(f"the inferer delivers uint8 masks, found {array.dtype}")
        if self.finalizer != "argmax":
            self.check_classes(int(array.shape[0]))
        drop(fields, self._kept)
        state = self._result(origin, int(array.shape[0]))
        state.dtype, state.array = np.dtype(array.dtype), array
        fields[self.result_field] = state

    def deliver(self, fields: dict[str, FieldState], backend: Backend, *, file_order: bool = True) -> dict[str, Array]:
        """Run the post-transforms on accepted fields, in place: labels on the input's grid, by output field.

        file_order  True: [I, J, K] in the file's index order, i fastest in memory; False: [X, Y, Z] in
                    loaded axes

        What transforms found out on the way is then in `fields[input_field].facts`. ConfigError where an output has
        several channels.
        """
        for stage, needed in zip(self.post_stages, self._post_needs, strict=True):
            run(stage, fields, _FLOAT32, backend)
            drop(fields, needed)
        labels = {}
        for name in self.outputs:
            labels[name] = self._deliver(fields[name], backend, file_order)
            fields[name].array = None
        return labels

    def _deliver(self, state: FieldState, backend: Backend, file_order: bool) -> Array:
        if state.history:
            _log.warning(
                "no RestoreOriginalShape brings %r back to the file's grid %s; done with nearest neighbour",
                state.name,
                state.source.loaded.shape,
            )
            restore(state, "nearest", backend)
        self._check_channels(state)
        return in_file_order(state, backend) if file_order else state.array[0]

    def check_classes(self, classes: int) -> None:
        """ConfigError where a model with `classes` output channels cannot give labels with this chain.

        The post-transforms are walked through on a small grid without voxels. A post-transform that works on the input
        field is left out, since its channels are not known here.
        """
        if isinstance(self._done, ChannelReduction):
            self._done.check_classes(classes)
        states = self._blank_fields(classes)
        if self._done is not None and self.finalizer == "masks":
            check_channels(self._done, states[self.result_field])
        for stage in self.post_stages:
            if stage.field in self._before_inference:
                continue
            run(stage, states, _FLOAT32, None)
        for output in self.outputs:
            self._check_channels(states[output])

    def _blank_fields(self, classes: int) -> Fields:
        """Fields on a small grid as they are behind the inference, without arrays."""
        origin = self._loaded(1, Geometry((64, 64, 64), np.eye(4)), _FLOAT32)
        fields: Fields = {name: origin.copy(name=name) for name in self._before_inference}
        fields[self.result_field] = self._result(origin, classes)
        return fields

    @property
    def counts_ties(self) -> bool:
        """True where every label is decided by an operation that counts ties: an argmax, or masks by the accumulator.

        False where a threshold, or a transform of one's own, makes labels of scores behind other work on them.
        """
        states = self._blank_fields(self._likely_classes())
        for stage in self.post_stages:
            if stage.field in self._before_inference:
                continue
            if isinstance(stage, Single) and not isinstance(stage.transform, ChannelReduction):
                scores = [name for name in stage.transform.fields if states[name].kind == "scores"]
                if scores and stage.transform.outcome("scores") == "labels":
                    return False
            run(stage, states, _FLOAT32, None)
        return True

    def _check_channels(self, state: FieldState) -> None:
        if state.channels != 1:
            raise ConfigError(
                f"post_transforms: leave {state.channels} channels in {state.name!r}, expected 1",
                remedy="make one label map of them with ArgmaxAcrossChannels, or one field of each with "
                "SplitAcrossChannels, and name the fields in writers",
            )

    def _likely_classes(self) -> int:
        """Output channels of a model that this chain can work with; ConfigError where there are none."""
        wanted = next((t.channels for t in self.post if t.channels and self.result_field in t.fields), None)
        refused: ConfigError | None = None
        # what a transform wants may be the channels that an argmax before it leaves
        for classes in dict.fromkeys([wanted, 2, 1] if wanted and self.finalizer != "argmax" else [2, 1]):
            try:
                self.check_classes(classes)
            except ConfigError as error:
                refused = refused or error
            else:
                return classes
        assert refused is not None
        raise refused

    # -- parts ----------------------------------------------------------------------------------------------
    @property
    def _load(self) -> Load:
        return next(t for t in self.pre if isinstance(t, Load))

    @property
    def _before_inference(self) -> set[str]:
        return {self.input_field, *(name for t in self.pre for name in t.creates)}

    def _loaded(
        self, channels: int, geometry: Geometry, dtype: np.dtype[Any], volume: Volume | None = None
    ) -> FieldState:
        source = Source(geometry, self._load.orientation(geometry), volume.path if volume else None)
        loaded = source.loaded
        return FieldState(
            self.input_field,
            channels,
            loaded.shape,
            dtype,
            loaded.spacing,
            source,
            channel_axis="last" if channels > 1 else "none",
            properties=source.properties(),
        )

    def _result(self, origin: FieldState, classes: int) -> FieldState:
        dtypes = {"argmax": label_dtype(classes), "masks": np.dtype(np.uint8), "scores": _FLOAT32}
        return origin.copy(
            name=self.result_field,
            channels=1 if self.finalizer == "argmax" else classes,
            dtype=dtypes[self.finalizer],
            kind="scores" if self.finalizer == "scores" else "labels",
            channel_axis="first",
            properties={},
            array=None,
        )

    def _stage_dtype(self, stage: Stage, wanted: np.dtype[Any]) -> np.dtype[Any]:
        """The model's dtype for the last stage of the input field, float32 before it."""
        own = [s for s in self.pre_stages if s.field in (self.input_field, None)]
        own = [s for s in own if s.touches_voxels]
        return wanted if isinstance(stage, FusedPass) and own[-1] is stage else _FLOAT32

    def _restored(self, output: str) -> bool:
        return any(isinstance(t, Restore) and output in t.fields for t in self.post)

    def _leaves_grid(self, output: str) -> bool:
        """True where a change of the output's grid is known to be undone by no post-transform."""
        changed = dict.fromkeys(self._before_inference, False)
        for transform in (*self.pre, None, *self.post):
            if transform is None:
                changed[self.result_field] = changed[self.input_field]
                continue
            for name in transform.creates:
                changed.setdefault(name, changed.get(transform.fields[0], False))
            for name in transform.fields:
                if transform.changes_grid or isinstance(transform, Restore):
                    changed[name] = transform.changes_grid
        return changed[output]


def _accumulated(post: Iterable[Transform], field: str) -> ChannelReduction | ChannelMask | None:
    """The argmax or the masks that the accumulator can make, if the chain begins with them.

    Nearest-neighbour changes of grid may stand before them: they copy whole columns of channels, so taking
    the argmax first gives the same labels (crops put back into a background of zero scores give label 0
    either way), and so do masks, unless a score of zero is above a cut.
    """
    restored = False
    for transform in post:
        if field in transform.references and isinstance(transform, (Barrier, Branch)):
            return None
        if field not in transform.fields or not transform.touches_voxels:
            continue
        if isinstance(transform, (ChannelReduction, ChannelMask)) and transform.fields != (field,):
            return None
        if isinstance(transform, ChannelReduction) and transform.finalizer is not None:
            return transform
        if isinstance(transform, ChannelMask):
            return None if restored and min(transform.cuts) < 0 else transform
        restored = restored or isinstance(transform, Restore)
        if not (isinstance(transform, (Regrid, Restore)) and transform.interpolation == "nearest"):
            return None
    return None


def _stage_line(stage: Stage) -> str:
    if not isinstance(stage, Single):
        how = ", one pass" if len(stage.members) > 1 else ""
        return f"{stage.field}: {' + '.join(t.summary() for t in stage.members)}{how}"
    field = stage.field or ", ".join(stage.transform.fields)
    return f"{field}: {stage.transform.summary()}" + ("" if stage.transform.touches_voxels else ", no voxel touched")
