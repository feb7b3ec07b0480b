"""A MONAI bundle becomes an entry of a model repository, and a folder with its configuration."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, get_args

from gpu_infer.choices import Format
from gpu_infer.errors import ConfigError
from gpu_infer.imports.bundle.files import inference_files, merged, read_inside
from gpu_infer.imports.bundle.finish import RESULT, Finish
from gpu_infer.imports.bundle.inferer import translate_inferer
from gpu_infer.imports.bundle.metadata import OutputChannels, read_channels
from gpu_infer.imports.bundle.network import network_channels, onnx_file
from gpu_infer.imports.bundle.postprocessing import translate_postprocessing
from gpu_infer.imports.bundle.preprocessing import component, translate_preprocessing
from gpu_infer.imports.bundle.resolve import Resolver
from gpu_infer.imports.bundle.step import read_step, read_steps
from gpu_infer.imports.bundle.torchscript import check_torchscript, network_dims
from gpu_infer.imports.bundle.workflow import check_workflow
from gpu_infer.imports.output import check_folder, check_packages, write_folder
from gpu_infer.repository.add import SLICES_PER_REQUEST, add_onnx, add_torchscript
from gpu_infer.repository.entry import Entry
from gpu_infer.triton.model.name import check_model_name

_UNSAFE = re.compile(r"[^A-Za-z0-9_.-]+")
_MOST_UINT8 = 256
_VOLUME_AXES = 4  # channels and three spatial axes


@dataclass(frozen=True)
class Options:
    """How to import. name None: that of the bundle's folder; onnx None: the file in its folder models.

    torchscript     the network for Triton's PyTorch backend, instead of an ONNX file
    configs         configuration files instead of configs/inference.json; later ones replace keys of earlier ones
    files           patterns of the files of one channel each
    nearest_labels  restore labels by the nearest voxel if the bundle interpolates them linearly
    """

    name: str | None = None
    onnx: Path | None = None
    torchscript: Path | None = None
    configs: Sequence[Path] = ()
    files: Sequence[str] = ()
    nearest_labels: bool = False
    replace: bool = False


@dataclass(frozen=True)
class Imported:
    """The entry, the folder of the configuration, and sentences about what was done."""

    entry: Entry
    folder: Path
    notes: list[str]


class _Network(NamedTuple):
    """Channels of input and output, None if they are dynamic, and what writes the entry."""

    inputs: int | None
    outputs: int | None
    add: Callable[..., Entry]


def import_bundle(bundle: Path, repository: Path, output: Path | None, options: Options) -> Imported:
    """Write repository/NAME and output/config_inference.json, labels.json. No code of the bundle is run.

    Args:
        bundle: Folder of a bundle, with configs/inference.json (or .yaml) and configs/metadata.json.
        repository: Folder of model folders; created if it is missing.
        output: New folder; None: NAME_app in the current one.
        options: What to import, and how.

    Raises:
        ConfigError: what the bundle has that is not imported, or what is missing.
        ModelError: the network does not fit Triton.
        ResourceError: a folder cannot be written.
    """
    check_packages()
    paths = inference_files(bundle, options.configs)
    file = str(paths[-1])
    resolver = Resolver(merged(paths), file, partial(read_inside, bundle))
    name = options.name or _UNSAFE.sub("_", bundle.resolve().name)
    check_model_name(name)
    folder = Path(f"{name}_app") if output is None else output
    check_folder(folder)
    check_workflow(resolver, file)
    steps = read_steps(resolver, "preprocessing", file)
    prepared = translate_preprocessing(steps, resolver.value("preprocessing"), options.files)
    inferer = translate_inferer(read_step(resolver.value("inferer"), f"{file}: inferer"), name)
    metadata = read_channels(bundle / "configs" / "metadata.json")
    finishing = read_steps(resolver, "postprocessing", file)
    translate_postprocessing(  # refuse before the network is read
        finishing, prepared, metadata.count, nearest_labels=options.nearest_labels
    )
    network = _network(bundle, options, inferer, metadata.count)
    channels = OutputChannels(network.outputs, metadata.names)
    finish = translate_postprocessing(finishing, prepared, channels.count, nearest_labels=options.nearest_labels)
    fields = [RESULT]
    if finish.stage == "masks":
        fields = channels.field_names()
        finish.transforms.append(component("SplitAcrossChannels", field=RESULT, channel_names=fields))
    content = {
        "pre_transforms": prepared.transforms,
        "post_transforms": finish.transforms,
        "writers": [_writer(field, finish) for field in fields],
        "inferer": inferer,
    }
    entry = network.add(repository, name, replace=options.replace)
    files: dict[str, Any] = {"config_inference.json": content}
    if labels := _label_names(finish, channels):
        files["labels.json"] = labels
    write_folder(folder, files)
    return Imported(entry, folder, _notes(finish, fields, bool(labels)) + _input_notes(network.inputs, options.files))


def _network(bundle: Path, options: Options, inferer: dict[str, Any], outputs: int | None) -> _Network:
    if options.torchscript is None:
        onnx = onnx_file(bundle, options.onnx)
        return _Network(*network_channels(onnx, inferer, options.files, outputs), partial(add_onnx, source=onnx))
    if options.onnx is not None:
        raise ConfigError("--onnx and --torchscript: found both, expected one network", remedy="leave one out")
    check_torchscript(options.torchscript)
    source, result = network_dims(bundle / "configs" / "metadata.json", inferer, options.files, outputs)
    add = partial(
        add_torchscript,
        source=options.torchscript,
        input_dims=source,
        output_dims=result,
        max_batch_size=1 if len(source) == _VOLUME_AXES else SLICES_PER_REQUEST,
    )
    return _Network(source[0], result[0], add)


def _writer(field: str, finish: Finish) -> dict[str, Any]:
    wide = finish.channels is not None and finish.channels > _MOST_UINT8
    extension = (finish.extension or "").removeprefix(".")
    return {
        "name": "WriteNifti",
        "args": {
            "field": field,
            "dtype": "uint16" if wide else "uint8",
            "format": extension if extension in get_args(Format) else "nii.gz",
        },
    }


def _label_names(finish: Finish, channels: OutputChannels) -> dict[str, str]:
    """The content of labels.json: one entry per label; nothing without names, or if each mask has a file of its own."""
    if finish.stage != "labels" or channels.count is None or not channels.names:
        return {}
    if finish.merged is not None:
        return {"0": "background", **{str(n): channels.name(c) for n, c in sorted(finish.merged.items())}}
    if channels.count == 1:
        return channels.mask_names()
    return {str(label): channels.name(label) for label in range(channels.count)}


def _notes(finish: Finish, fields: Sequence[str], has_labels: bool) -> list[str]:
    notes = []
    if finish.stage == "masks":
        notes.append(f"each channel of the output is a mask in a file of its own: {', '.join(fields)}")
    elif not has_labels:
        notes.append("metadata.json names no channels of pred: labels have no names")
    return notes


def _input_notes(channels: int | None, files: Sequence[str]) -> list[str]:
    if channels is None or channels == 1 or files:
        return []
    return [f"the input has {channels} channels: give one file with all of them, or import with --files"]
