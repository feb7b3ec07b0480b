"""A trained nnU-Net folder becomes an entry of a model repository, and a folder with its configuration."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from gpu_infer.errors import ConfigError
from gpu_infer.imports.nnunet.app_files import inference_configuration, label_names
from gpu_infer.imports.nnunet.configuration import Configuration, read_configuration
from gpu_infer.imports.nnunet.fields import Fields, read_json
from gpu_infer.imports.nnunet.labels import Labels, read_labels
from gpu_infer.imports.nnunet.normalization import normalization
from gpu_infer.imports.nnunet.postprocessing import postprocessing
from gpu_infer.imports.nnunet.run_export import Exported, run_export
from gpu_infer.imports.output import check_folder, check_packages, write_folder
from gpu_infer.repository.add import add_onnx
from gpu_infer.repository.entry import Entry
from gpu_infer.triton.model.name import check_model_name

_UNSAFE = re.compile(r"[^A-Za-z0-9_.-]+")


@dataclass(frozen=True)
class Options:
    """How to import. name None: dataset and configuration; folds (): all that have the checkpoint.

    instance_normalization  export this operator; False: means of means, which ONNX Runtime computes more exactly
    """

    python: Path
    name: str | None = None
    folds: Sequence[str] = ()
    checkpoint: str = "checkpoint_final.pth"
    mirroring: bool = True
    postprocessing: bool = True
    trust_checkpoint: bool = False
    instance_normalization: bool = False
    replace: bool = False

    def export_flags(self) -> list[str]:
        """The flags of export_network."""
        flags = {
            "--trust-checkpoint": self.trust_checkpoint,
            "--instance-normalization": self.instance_normalization,
        }
        return [flag for flag, given in flags.items() if given]


@dataclass(frozen=True)
class Imported:
    """The entry, the folder of the configuration, and sentences about what was done."""

    entry: Entry
    folder: Path
    notes: list[str]


def import_nnunet(
    trained: Path,
    repository: Path,
    output: Path | None,
    options: Options,
    on_line: Callable[[str], None] = lambda _line: None,
) -> Imported:
    """Write repository/NAME and output/config_inference.json, labels.json.

    Args:
        trained: A folder TRAINER__PLANS__CONFIGURATION with plans.json, dataset.json and fold_N.
        repository: Folder of model folders; created if it is missing.
        output: New folder; None: the model's name in the current one.
        options: What to import, and how.
        on_line: Gets each line that nnU-Net's environment prints.

    Raises:
        ConfigError: what the folder has that is not carried over, or what is missing.
        ModelError: the network does not fit Triton.
        ResourceError: a folder cannot be written.
    """
    check_packages()
    plans = Fields(trained / "plans.json", read_json(trained / "plans.json"))
    dataset = Fields(trained / "dataset.json", read_json(trained / "dataset.json"))
    labels, channels = read_labels(dataset), _channels(dataset)
    folds = _folds(trained, options)
    trained_as = trained.resolve().name.split("__")[-1]
    if trained_as in plans.section("configurations"):  # refuse before the network is loaded
        _checked(plans, trained_as, channels)
    rules, rules_note = postprocessing(trained, folds) if options.postprocessing else ([], "")
    with tempfile.TemporaryDirectory(prefix="gpu-infer-") as scratch:
        onnx = Path(scratch, "model.onnx")
        exported = run_export(
            options.python,
            trained,
            onnx,
            folds,
            options.checkpoint,
            options.export_flags(),
            on_line,
        )
        configuration = _checked(plans, exported.configuration, channels)
        _check_agreement(trained, exported, labels, channels)
        name = options.name or _UNSAFE.sub("_", f"{plans.text('dataset_name')}_{exported.configuration}")
        check_model_name(name)
        folder = Path(name) if output is None else output
        check_folder(folder)
        content = inference_configuration(
            name,
            configuration,
            labels,
            channels=channels,
            file_ending=dataset.text("file_ending"),
            mirroring=exported.mirroring_axes if options.mirroring else (),
            normalization=normalization(plans, configuration),
            postprocessing=rules,
        )
        entry = add_onnx(repository, name, onnx, replace=options.replace)
    write_folder(folder, {"config_inference.json": content, "labels.json": label_names(labels)})
    notes = [
        f"{exported.configuration} of {exported.trainer}, fold{'s' * (len(folds) > 1)} {', '.join(folds)}",
        *(f"{path} was unpickled: it cannot be read with weights_only=True" for path in exported.unpickled),
        *([rules_note] if rules_note else []),
    ]
    return Imported(entry, folder, notes)


def _channels(dataset: Fields) -> int:
    key = "modality" if "modality" in dataset else "channel_names"
    names = dataset.section(key).values
    if not names:
        dataset.refuse(key, "a name for each channel")
    return len(names)


def _folds(trained: Path, options: Options) -> list[str]:
    """Folds as nnUNetv2_predict chooses them: the numbered ones, or `all` if it is the only one."""
    folds = sorted(path.parent.name.removeprefix("fold_") for path in trained.glob(f"fold_*/{options.checkpoint}"))
    for fold in options.folds:
        if fold not in folds:
            raise ConfigError(
                f"{trained}: has no fold_{fold}/{options.checkpoint}",
                remedy=f"folds that have it: {', '.join(folds) or 'none'}",
            )
    chosen = list(options.folds) or [fold for fold in folds if fold.isdigit()] or folds
    if not chosen:
        raise ConfigError(
            f"{trained}: no fold has {options.checkpoint}",
            remedy="give --checkpoint NAME, or the trained folder itself",
        )
    if len(set(chosen)) < len(chosen):
        raise ConfigError(f"--folds: found {', '.join(chosen)}, expected each fold once", remedy="correct it")
    return chosen


def _checked(plans: Fields, name: str, channels: int) -> Configuration:
    """The configuration, with all that can be refused without the network."""
    configuration = read_configuration(plans, name)
    if {len(configuration.schemes), len(configuration.masked)} != {channels}:
        raise ConfigError(
            f"{plans.path}: {name}: normalization_schemes has {len(configuration.schemes)} entries and "
            f"use_mask_for_norm {len(configuration.masked)}, dataset.json has {channels} channels",
            remedy="copy both files of the training again",
        )
    normalization(plans, configuration)
    return configuration


def _check_agreement(trained: Path, exported: Exported, labels: Labels, channels: int) -> None:
    for what, network, files in (
        ("input channels", exported.channels, channels),
        ("output channels", exported.heads, labels.heads),
    ):
        if network != files:
            raise ConfigError(
                f"{trained}: the network has {network} {what}, dataset.json {files}",
                remedy="copy dataset.json of the training again",
            )
