"""A program for nnU-Net's own environment: writes a trained folder's networks as one ONNX file, and facts as JSON.

    python export_network.py FOLDER --onnx FILE --facts FILE --folds 0 1 [--checkpoint NAME] [--trust-checkpoint]
        [--instance-normalization]

It needs torch and nnunetv2 alone, and imports nothing of gpu_infer. The file's input "input" is [B, C, *patch] and its
output "output" [B, K, *patch] logits, axes in nnU-Net's order; with several folds, the mean of their logits. Exit code
0: the files are written; 3: refused, with one line on stderr that begins with REFUSED.

ONNX Runtime's CPU sums all voxels of a channel in float32 for the operator InstanceNormalization: on 128³ voxels,
errors reach 2e-4 of a deviation. Its ReduceMean along one axis at a time errs by 1e-6, no more than PyTorch. Instance
norms are therefore exported as means of means, unless --instance-normalization is given.
"""

from __future__ import annotations

import argparse
import json
import sys
import warnings
from pathlib import Path
from typing import Any

OPSET = 17


class Refused(Exception):
    """What cannot be carried over, in one line."""


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("--onnx", type=Path, required=True)
    parser.add_argument("--facts", type=Path, required=True)
    parser.add_argument("--folds", nargs="+", required=True)
    parser.add_argument("--checkpoint", default="checkpoint_final.pth")
    parser.add_argument("--trust-checkpoint", action="store_true")
    parser.add_argument("--instance-normalization", action="store_true")
    options = parser.parse_args()
    warnings.simplefilter("ignore")  # of the exporter, which is deprecated and writes the operators that are wanted
    try:
        facts = export(options)
    except Refused as error:
        sys.stderr.write(f"REFUSED {error}\n")
        return 3
    options.facts.write_text(json.dumps(facts), encoding="utf-8")
    return 0


def export(options: argparse.Namespace) -> dict[str, Any]:
    """Write the ONNX file; returns the facts that only the checkpoints have."""
    import nnunetv2
    import torch
    from nnunetv2.utilities.label_handling.label_handling import determine_num_input_channels
    from nnunetv2.utilities.plans_handling.plans_handler import PlansManager

    paths = [options.folder / f"fold_{fold}" / options.checkpoint for fold in options.folds]
    loaded = [load(path, trust=options.trust_checkpoint) for path in paths]
    first = loaded[0][0]
    names = {(c["trainer_name"], c["init_args"]["configuration"]) for c, _ in loaded}
    if len(names) > 1:
        raise Refused(f"{options.folder}: the folds are of different trainers or configurations: {sorted(names)}")
    plans = PlansManager(str(options.folder / "plans.json"))
    dataset = json.loads((options.folder / "dataset.json").read_text(encoding="utf-8"))
    configuration = plans.get_configuration(first["init_args"]["configuration"])
    if configuration.previous_stage_name is not None:
        raise Refused(f"{options.folder}: {first['init_args']['configuration']} is the second stage of a cascade")
    channels = determine_num_input_channels(plans, configuration, dataset)
    heads = plans.get_label_manager(dataset).num_segmentation_heads
    networks = []
    for path, (checkpoint, _) in zip(paths, loaded, strict=True):
        network = build(first["trainer_name"], plans, configuration, channels, heads)
        try:
            network.load_state_dict(checkpoint["network_weights"])
        except RuntimeError as error:
            raise Refused(f"{path}: its weights do not fit the network of plans.json: {one_line(error)}") from error
        networks.append(network.eval().float())
    if not options.instance_normalization:
        networks = [with_staged_norms(network) for network in networks]
    write_onnx(mean_of(networks), (1, channels, *configuration.patch_size), options.onnx)
    axes = first.get("inference_allowed_mirroring_axes")
    return {
        "configuration": first["init_args"]["configuration"],
        "trainer": first["trainer_name"],
        "channels": int(channels),
        "heads": int(heads),
        "patch_size": [int(n) for n in configuration.patch_size],
        "mirroring_axes": [int(axis) for axis in axes or ()],
        "unpickled": [str(path) for path, (_, safe) in zip(paths, loaded, strict=True) if not safe],
        "versions": {"torch": torch.__version__, "nnunetv2": version_of(nnunetv2)},
    }


def load(path: Path, *, trust: bool) -> tuple[dict[str, Any], bool]:
    """A checkpoint, and whether it was read without unpickling objects.

    Scalars of NumPy are allowed: nnU-Net's own training writes them.
    """
    import torch

    if not path.is_file():
        raise Refused(f"{path}: there is no such checkpoint")
    try:
        with torch.serialization.safe_globals(numpy_scalars()):
            return torch.load(path, map_location="cpu", weights_only=True), True
    except Exception as error:  # torch raises pickle.UnpicklingError, RuntimeError and others for damaged files
        if not trust:
            raise Refused(
                f"{path}: cannot be read with weights_only=True ({one_line(error)}); unpickling it can run code: "
                "give --trust-checkpoint if you trust the file"
            ) from error
    try:
        return torch.load(path, map_location="cpu", weights_only=False), False
    except Exception as error:
        raise Refused(f"{path}: cannot be read: {one_line(error)}") from error


def numpy_scalars() -> list[Any]:
    """What a pickled NumPy number names."""
    import numpy as np

    core = getattr(np, "_core", None) or np.core
    kinds = [kind for name in dir(np.dtypes) if isinstance(kind := getattr(np.dtypes, name), type)]
    old_name = (core.multiarray.scalar, "numpy.core.multiarray.scalar")
    return [core.multiarray.scalar, old_name, np.dtype, *kinds]


def build(trainer_name: str, plans: Any, configuration: Any, channels: int, heads: int) -> Any:
    """The network as the predictor of nnU-Net builds it."""
    import inspect

    from nnunetv2.utilities.get_network_from_plans import get_network_from_plans

    described = (
        configuration.network_arch_class_name,
        configuration.network_arch_init_kwargs,
        configuration.network_arch_init_kwargs_req_import,
        channels,
        heads,
    )
    try:
        if trainer_name == "nnUNetTrainer":  # what its method does; the code of the training is not needed
            return get_network_from_plans(*described, allow_init=False, deep_supervision=False)
        method = find_trainer(trainer_name).build_network_architecture
        if "plans_manager" in inspect.signature(method).parameters:
            return method(plans, configuration, channels, heads, enable_deep_supervision=False)
        return method(*described, enable_deep_supervision=False)
    except Refused:
        raise
    except Exception as error:  # whatever an architecture's constructor raises
        raise Refused(f"the network of {trainer_name} cannot be built: {one_line(error)}") from error


def find_trainer(name: str) -> Any:
    """The class of a trainer of this nnunetv2 or of nnUNet_extTrainer."""
    try:
        from nnunetv2.utilities.find_objects import recursive_find_trainer_class_by_name
    except ImportError:  # before 2.7
        return find_own_trainer(name)
    try:
        return recursive_find_trainer_class_by_name(name)
    except RuntimeError as error:
        if "Could not find" not in str(error):
            raise
        raise Refused(unknown_trainer(name)) from error


def find_own_trainer(name: str) -> Any:
    import nnunetv2
    from nnunetv2.utilities.find_class_by_name import recursive_find_python_class

    folder = Path(nnunetv2.__path__[0], "training", "nnUNetTrainer")
    trainer = recursive_find_python_class(str(folder), name, "nnunetv2.training.nnUNetTrainer")
    if trainer is None:
        raise Refused(unknown_trainer(name))
    return trainer


def unknown_trainer(name: str) -> str:
    return (
        f"the trainer {name} is not in this nnunetv2, so that its network is unknown: "
        "give --python of the environment that has it"
    )


def with_staged_norms(network: Any) -> Any:
    """The network with the same instance norms, each as ReduceMean along one axis after the other."""
    import torch

    class StagedInstanceNorm(torch.nn.Module):  # type: ignore[misc]
        def __init__(self, norm: Any, axes: int) -> None:
            super().__init__()
            self.eps, self.affine = norm.eps, norm.affine
            if norm.affine:  # [C, 1, …]
                per_channel = (-1, *[1] * axes)
                self.weight = torch.nn.Parameter(norm.weight.detach().reshape(per_channel))
                self.bias = torch.nn.Parameter(norm.bias.detach().reshape(per_channel))

        def forward(self, values: Any) -> Any:  # [B, C, *patch]
            centered = values - spatial_mean(values)
            # Not 1 / deviation times weight: ONNX Runtime 1.32 (DivMulFusion) does not load two equal ones of these.
            deviation = torch.sqrt(spatial_mean(centered * centered) + self.eps)
            return centered * (self.weight / deviation) + self.bias if self.affine else centered / deviation

    kinds = {torch.nn.InstanceNorm1d: 1, torch.nn.InstanceNorm2d: 2, torch.nn.InstanceNorm3d: 3}

    def staged(module: Any) -> Any:
        if type(module) in kinds and not module.track_running_stats:
            return StagedInstanceNorm(module, kinds[type(module)])
        for name, child in module.named_children():
            setattr(module, name, staged(child))
        return module

    return staged(network)


def spatial_mean(values: Any) -> Any:
    """[B, C, 1, …] of [B, C, *patch]: the mean along the last axis, then along the axis before it, …"""
    for axis in range(values.dim() - 1, 1, -1):
        values = values.mean(dim=axis, keepdim=True)
    return values


def mean_of(networks: list[Any]) -> Any:
    """One module: the network itself, or the mean of the logits of several."""
    import torch

    class Mean(torch.nn.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.networks = torch.nn.ModuleList(networks)

        def forward(self, windows: Any) -> Any:
            total = self.networks[0](windows)
            for network in list(self.networks)[1:]:
                total = total + network(windows)
            return total / len(self.networks)

    return networks[0] if len(networks) == 1 else Mean().eval()


def write_onnx(network: Any, shape: tuple[int, ...], path: Path) -> None:
    """The batch is dynamic, the patch is fixed: windows have no other size."""
    import torch

    skip_onnx_package()
    batch = {0: "batch"}
    example = torch.zeros(shape)
    try:
        with torch.inference_mode():
            result = network(example)
        if isinstance(result, (list, tuple)) or result.shape[2:] != example.shape[2:]:
            raise Refused("the network returns several outputs, or another size than its input's")
        with torch.no_grad():
            torch.onnx.export(
                network,
                (example,),
                str(path),
                opset_version=OPSET,
                input_names=["input"],
                output_names=["output"],
                dynamic_axes={"input": batch, "output": batch},
                **({"dynamo": False} if has_dynamo() else {}),
            )
    except Refused:
        raise
    except Exception as error:  # the exporter has no common class of errors
        raise Refused(f"the network cannot be written as ONNX: {one_line(error)}") from error


def has_dynamo() -> bool:
    """True if this torch has a second exporter, which must not be chosen."""
    import inspect

    import torch

    return "dynamo" in inspect.signature(torch.onnx.export).parameters


def skip_onnx_package() -> None:
    """Let the exporter run without the package onnx, which it imports to add functions that no network here has."""
    import importlib
    from importlib.util import find_spec

    if find_spec("onnx") is not None:
        return
    for name in ("torch.onnx._internal.torchscript_exporter.onnx_proto_utils", "torch.onnx._internal.onnx_proto_utils"):
        try:
            module: Any = importlib.import_module(name)
        except ImportError:
            continue
        if hasattr(module, "_add_onnxscript_fn"):
            module._add_onnxscript_fn = lambda model, _functions: model


def version_of(package: Any) -> str:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version(package.__name__)
    except PackageNotFoundError:
        return "unknown"


def one_line(error: BaseException) -> str:
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text[:300]}"


if __name__ == "__main__":
    sys.exit(main())
