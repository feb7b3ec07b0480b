"""Configurations, logging configurations and render settings with odd values, keys and bytes."""

from __future__ import annotations

import copy
import json
import logging
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from case_runner import change_bytes, run_cases, workplace

from gpu_infer import logs
from gpu_infer.config.load import load_config
from gpu_infer.planning.free_memory import FreeMemory
from gpu_infer.planning.run_inputs import RunInputs
from gpu_infer.planning.run_plan import make_plan
from gpu_infer.settings import Settings
from gpu_infer.system.resources import resource_folder
from gpu_infer.transforms.registry import TRANSFORMS
from gpu_infer.triton.model.repository import model_in_repository
from gpu_infer.volume.geometry import Geometry
from gpu_infer.volume.header import VolumeHeader
from gpu_infer.writers.render_settings import check_render_settings

ENVIRONMENT = {"WORD": "some word", "NUMBER": "3", "EMPTY": "", "LONG": "9" * 5000}
FOLDER = resource_folder("config")
DOCUMENTS = {
    name: json.loads((FOLDER / name).read_text())
    for name in ("config_inference.json", "config_render.json", "logging_config.json")
}


def _nested(depth: int) -> Any:
    value: Any = 0
    for _ in range(depth):
        value = [value]
    return value


VALUES: tuple[Any, ...] = (
    *(None, True, False, "", " ", [], {}, [[]], [None], {"": 0}, 0, 1, -1, 3, 0.5, -0.0, 1e308, -1e308, 5e-324),
    *(2**31 - 1, 2**31, 2**63, 2**64, 10**60, 10**99, [1, 1, 1], [0, 0, 0], [1e-300] * 3, [10**9] * 3, [1] * 1000),
    *(
        "{WORD}",
        "{NUMBER}",
        "{EMPTY}",
        "{LONG}",
        "{NONE}",
        "{",
        "}",
        "{}",
        "image",
        "model",
        "true",
        "RAW",
        "clara",
        "monai",
        "nnunet",
    ),
    *(
        "²",
        "٣",
        "-",
        "--5",
        "1e5",
        "nan",
        "inf",
        "0x10",
        "9" * 5000,
        "a" * 300,
        "a\0b",
        "a\nb",
        "\ud800",
        "ü",
        "#",
        "a#b",
        "%s%n",
    ),
    *(
        "os.system",
        "gpu_infer.transforms.base.Pointwise",
        "a.b.c",
        ".",
        "..",
        "gaussian",
        "nearest",
        "uint8",
        "localhost",
    ),
    *(_nested(20), _nested(31), _nested(200)),
)
ARGUMENTS = (
    *("fields", "field", "target_resolution", "target_spacing", "target_shape", "factor", "is_label", "interpolation"),
    *(
        "align_corners",
        "anti_aliasing",
        "anti_aliasing_sigma",
        "a_min",
        "a_max",
        "b_min",
        "b_max",
        "clip",
        "div_int",
        "size",
        "margin",
        "threshold",
        "subtrahend",
    ),
    *(
        "divisor",
        "channel_names",
        "label_names",
        "labels",
        "connectivity",
        "src_field",
        "from_field",
        "properties",
        "dtype",
    ),
    *("roi_size", "roi", "mode", "overlap", "step_size", "blend", "sigma_scale", "mirror_axes", "cval", "batch_size"),
    "padding_mode",
    *(
        "slots",
        "model_name",
        "model_version",
        "ip",
        "port",
        "protocol",
        "input_name",
        "output_name",
        "name",
        "path",
        "ref",
    ),
    *("args", "disabled", "writers", "writer", "inferer", "inference", "pre_transforms", "post_transforms"),
)


def _nodes(value: Any) -> list[tuple[Any, Any]]:
    """(container, key) of everything in a document."""
    actual: list[tuple[Any, Any]] = []
    stack = [value]
    while stack:
        node = stack.pop()
        keys = list(node) if isinstance(node, dict) else list(range(len(node))) if isinstance(node, list) else []
        actual += [(node, key) for key in keys]
        stack += [node[key] for key in keys]
    return actual


def change(rng: random.Random, document: Any) -> None:
    """One change in place: a value, a key, a component or an order."""
    if not (nodes := _nodes(document)):
        return
    node, key = rng.choice(nodes)
    match rng.randrange(7):
        case 0 | 1 | 2:
            node[key] = copy.deepcopy(rng.choice(VALUES))
        case 3:
            del node[key]
        case 4:
            target = rng.choice([n for n, _ in nodes if isinstance(n, dict)] or [{}])
            target[rng.choice(ARGUMENTS)] = copy.deepcopy(rng.choice(VALUES))
        case 5:
            chain = document.get(rng.choice(("pre_transforms", "post_transforms")))
            if isinstance(chain, list):
                component = {"name": rng.choice(list(TRANSFORMS)), "args": {"fields": rng.choice(("image", "model"))}}
                for name in rng.sample(ARGUMENTS, rng.randrange(3)):
                    component["args"][name] = copy.deepcopy(rng.choice(VALUES))
                chain.insert(rng.randrange(len(chain) + 1), component)
        case _:
            if isinstance(node, list):
                rng.shuffle(node)


def plan(path: Path) -> None:
    """Load, trace and plan as a run does, for a volume of 64×64×48 voxels and 4 GiB."""
    config = load_config(path, ENVIRONMENT)
    pipeline = config.pipeline()
    pipeline.describe()
    model = model_in_repository(Path(__file__).parents[1] / "models", "classes5")
    assert model is not None
    voxels = np.zeros((1, 64, 64, 48), np.int16)
    geometry = Geometry((64, 64, 48), np.diag([0.7, 0.8, 3.0, 1.0]))
    header = VolumeHeader(geometry, 1, voxels.dtype, path, (path,), "nifti", lambda _: voxels)
    inputs = RunInputs(Settings.from_environment({}, config=path), config, pipeline, header)
    make_plan(inputs, model, FreeMemory(host=4 << 30)).lines()


def configure_logs(folder: Path) -> None:
    try:
        logs.configure(folder / "logs", folder)
    finally:
        for logger in (logging.getLogger(), logging.getLogger("gpu_infer")):
            for handler in logger.handlers:
                handler.close()
            logger.handlers.clear()


def make(rng: random.Random, folder: Path) -> Callable[[], object]:
    name = rng.choice(("config_inference.json", "config_inference.json", *DOCUMENTS))
    document = copy.deepcopy(DOCUMENTS[name])
    for _ in range(rng.randint(1, 4)):
        change(rng, document)
    content = json.dumps(document).encode()
    if rng.random() < 0.15:
        content = change_bytes(rng, content)
    (folder / name).write_bytes(content)
    if name == "config_render.json":
        return lambda: check_render_settings(folder / name)
    if name == "logging_config.json":
        return lambda: configure_logs(folder)
    return lambda: plan(folder / name)


def main(seconds: float, seed: int) -> int:
    return run_cases(make, seconds, seed, workplace("configurations"))
