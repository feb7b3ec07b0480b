"""Write the folder of an application: configuration, names of labels, Dockerfile and README for one model."""

from __future__ import annotations

import json
import os
import shlex
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from gpu_infer.errors import ConfigError, ResourceError
from gpu_infer.repository.run_command import run_command
from gpu_infer.triton.model.info import ModelInfo
from gpu_infer.triton.model.repository import model_in_repository

_SLICE_DIMS = 3  # channels and two spatial axes
_UINT8_LABELS = 256
_LOCAL = ("python", "onnxruntime", "onnxruntime_onnx", "ensemble")
"""Platforms of models that the local Triton serves."""


@dataclass(frozen=True)
class Preparation:
    """What a model's files do not say. None: not given.

    spacing_mm  voxel size X, Y, Z that the volume is resampled to
    intensities  values that become 0 and 1, with clipping
    roi  the window X, Y, Z, or its two sizes inside a slice, for dynamic sizes
    classes  channels of the output, for a dynamic number; labels, if the model answers labels
    logits  whether an output of one channel is logits instead of probabilities
    slice_axis  axis across the slices of a 2-D model
    """

    spacing_mm: tuple[float, ...] | None = None
    intensities: tuple[float, ...] | None = None
    roi: tuple[int, ...] | None = None
    classes: int | None = None
    logits: bool | None = None
    slice_axis: str | None = None


class NewApp(NamedTuple):
    """What a user needs to know about a new folder: what the configuration does not do, and the next commands."""

    notes: list[str]
    commands: list[str]


def write_app(folder: Path, repository: Path, name: str, preparation: Preparation) -> NewApp:
    """Write the folder, complete or not at all.

    Raises ConfigError for a folder that exists, a model that is not in the repository, and options that are missing or
    do not fit; ModelError for a model that the operator cannot use; ResourceError if the folder cannot be written.
    """
    if os.path.lexists(folder):
        raise ConfigError(f"{folder} exists already", remedy="give a new folder")
    model = model_in_repository(repository, name)
    if model is not None and preparation.slice_axis is not None and not _takes_slices(model):
        if model.batch_axis == "leading":
            raise ConfigError(
                f"--slice-axis {preparation.slice_axis}: model {name} takes volumes, dims {list(model.input.dims)}",
                remedy="leave --slice-axis out",
            )
        model = model_in_repository(repository, name, slices=True)  # four dims are [B, C, H, W]
    if model is None:
        raise ConfigError(
            f"{repository / name}: no config.pbtxt there", remedy=f"gpu-infer models add {name} --onnx FILE"
        )
    classes = _class_count(model, preparation)
    configuration = _configuration(model, preparation, "uint8" if classes <= _UINT8_LABELS else "uint16")
    files = {
        "config/config_inference.json": _json(configuration),
        "config/labels.json": _json({"0": "background", **{str(n): f"label {n}" for n in range(1, classes)}}),
        "Dockerfile": f"# docker build -t {_image(folder)} {folder.name}\nFROM gpu_infer\nCOPY config/* /app/config/\n",
    }
    notes = _notes(model, preparation)
    files["README.md"] = _readme(folder, repository, model, notes)
    commands = _commands(folder, repository, model)
    folder = folder.absolute()
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".gpu-infer-", dir=folder.parent) as hidden:
            new = Path(hidden, "new")
            (new / "config").mkdir(parents=True)
            for path, text in files.items():
                (new / path).write_text(text, encoding="utf-8")
            new.rename(folder)
    except OSError as error:
        raise ResourceError(f"{folder} cannot be written: {error.strerror or error}", remedy="give another") from error
    return NewApp(notes, commands)


def _class_count(model: ModelInfo, preparation: Preparation) -> int:
    """Labels, the background included."""
    channels = -1 if model.answers_labels else model.output.dims[0]
    classes = preparation.classes
    if channels == -1 and (classes is None or classes < 2):
        raise ConfigError(
            f"model {model.name} does not name its number of classes", remedy="give --classes N, background included"
        )
    if channels != -1 and classes is not None:
        raise ConfigError(f"--classes {classes}: model {model.name} has {channels}", remedy="leave --classes out")
    if channels == 1 and preparation.logits is None:
        raise ConfigError(
            f"model {model.name} has one output channel: init cannot tell logits from probabilities",
            remedy="give --logits or --probabilities",
        )
    if channels != 1 and preparation.logits is not None:
        raise ConfigError(
            f"--logits and --probabilities are for one output channel, model {model.name} has others",
            remedy="leave them out: an argmax is the same for both",
        )
    return max(2, channels) if channels != -1 else int(classes or 0)


def _configuration(model: ModelInfo, preparation: Preparation, dtype: str) -> dict[str, Any]:
    image = {"fields": "image"}
    pre: list[dict[str, Any]] = [
        {"name": "LoadNifti", "args": image},
        {"name": "ConvertToChannelsFirst", "args": image},
    ]
    if preparation.spacing_mm is not None:
        target = {**image, "target_resolution": list(preparation.spacing_mm)}
        pre.append({"name": "ScaleByResolution", "args": target})
    if preparation.intensities is not None:
        low, high = preparation.intensities
        scale = {**image, "a_min": low, "a_max": high, "b_min": 0.0, "b_max": 1.0, "clip": True}
        pre.append({"name": "ScaleIntensityRange", "args": scale})
    post: list[dict[str, Any]] = []
    if not model.answers_labels and model.output.dims[0] == 1:
        threshold = {"fields": "model", "threshold": 0.5, "sigmoid": bool(preparation.logits)}
        post.append({"name": "ThresholdValues", "args": threshold})
    else:  # which has nothing to do for a model that answers labels
        post.append({"name": "ArgmaxAcrossChannels", "args": {"fields": "model"}})
    post.append({"name": "RestoreOriginalShape", "args": {"field": "model", "src_field": "image", "is_label": True}})
    return {
        "pre_transforms": pre,
        "post_transforms": post,
        "writers": [{"name": "MhdWriter", "args": {"field": "model", "dtype": dtype}}],
        "inferer": _inferer(model, preparation),
    }


def _inferer(model: ModelInfo, preparation: Preparation) -> dict[str, Any]:
    arguments: dict[str, Any] = {"model_name": model.name}
    fixed, roi = model.input.dims[1:], preparation.roi
    if roi is None and -1 in fixed:
        raise ConfigError(
            f"model {model.name} has the dynamic dims {list(model.input.dims)}",
            remedy="give the size of a window: --roi "
            + ("256,256, inside a slice" if _takes_slices(model) else "X,Y,Z"),
        )
    if roi is not None:
        if len(roi) != len(fixed) or any(n < 1 or d not in (-1, n) for d, n in zip(fixed, roi, strict=True)):
            raise ConfigError(
                f"--roi: found {','.join(map(str, roi))}, but model {model.name} has the dims {list(model.input.dims)}",
                remedy=f"give the {'two' if _takes_slices(model) else 'three'} sizes that the model takes",
            )
        arguments["roi_size"] = list(roi)
    if _takes_slices(model):
        arguments["slice_axis"] = preparation.slice_axis or "Z"
    if model.answers_labels:  # they cannot be averaged: windows do not overlap
        return {"name": "TRTISScanWindowInferer", "args": {**arguments, "mode": "monai", "overlap": 0}}
    return {"name": "TRTISScanWindowInferer", "args": arguments}


def _takes_slices(model: ModelInfo) -> bool:
    return len(model.input.dims) == _SLICE_DIMS


def _notes(model: ModelInfo, preparation: Preparation) -> list[str]:
    notes = []
    if preparation.spacing_mm is None:
        notes.append("no --spacing: the volume is not resampled, the model gets its own voxel size")
    if preparation.intensities is None:
        notes.append("no --intensities: the model gets the values of the file (HU of a CT)")
    if _takes_slices(model) and preparation.slice_axis is None:
        notes.append("no --slice-axis: the model gets slices across Z")
    return notes


def _commands(folder: Path, repository: Path, model: ModelInfo) -> list[str]:
    """Check the configuration, then segment a volume: with the local Triton, if it can serve the model."""
    config, models = folder / "config", shlex.quote(str(repository))
    return [
        f"gpu-infer validate {shlex.quote(str(config / 'config_inference.json'))} --models {models}",
        run_command(folder, config, repository if model.platform in _LOCAL else None),
    ]


def _readme(folder: Path, repository: Path, model: ModelInfo, notes: list[str]) -> str:
    lines = [
        f"# {folder.name}",
        "",
        f"Segments volumes with the model `{model.name}`.",
        "`config/config_inference.json` prepares it: spacing and intensities must be those of the training.",
        "`config/labels.json` has the names of the labels.",
        *(f"Check this: {note}." for note in notes),
        "",
        *(f"    {command}" for command in _commands(Path(folder.name), repository, model)),
    ]
    return "\n".join(lines) + "\n"


def _image(folder: Path) -> str:
    return "".join(c if c.isascii() and (c.isalnum() or c in "_-") else "_" for c in folder.name.lower())


def _json(data: object) -> str:
    return json.dumps(data, indent=4, ensure_ascii=False) + "\n"
