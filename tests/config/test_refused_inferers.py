"""Inferers that are refused: one line, with file, key, what was found and what to do."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from config_files import assert_refused, component, lung


def inferer(**args: Any) -> dict[str, Any]:
    return lung(inferer=component("TRTISScanWindowInferer", **args))


CASES: list[tuple[Any, str]] = [
    (lung(inferer=None), 'inferer: is missing ({"name": "TRTISScanWindowInferer", "args": {"model_name": …}})'),
    (lung(inferer={"name": "TRTISSimpleInferer", "disabled": True}), "inferer: is disabled (a run needs one)"),
    (lung(inference={}), '"inferer" and "inference" exclude each other (keep one)'),
    (
        lung(inferer=component("SlidingWindow")),
        'inferer.name: unknown inferer "SlidingWindow" (expected a name that ends with ScanWindowInferer, '
        "ScanningWindowInferer, SimpleInferer, or the dotted name of a custom inferer)",
    ),
    (
        inferer(modelname="m"),
        'inferer.args: TRTISScanWindowInferer has no argument "modelname"; did you mean "model_name"? (it takes '
        "model_name, model_version, ip, port, protocol, batch_size, roi_size, mode, overlap, step_size, blend, "
        "sigma_scale, mirror_axes, padding_mode, cval, output_type, slots, axes, slice_axis, context, input_name, "
        "output_name, models, combine)",
    ),
    (inferer(port=0), "inferer.args.port: expected a port from 1 to 65535, found 0"),
    (inferer(protocol="https"), 'inferer.args.protocol: expected "HTTP" or "GRPC", found "https"'),
    (
        inferer(axes="ZYZ"),
        'inferer.args.axes: expected X, Y and Z in the order of the model\'s tensors, such as "ZYX", or two of them, '
        'found "ZYZ"',
    ),
    (inferer(context=-1), "inferer.args.context: expected a number of slices, 0 to 64, found -1"),
    (inferer(slice_axis="W"), 'inferer.args.slice_axis: expected X, Y or Z, found "W"'),
    (
        inferer(axes="XY", slice_axis="x"),
        "inferer.args: axes XY are those of slices, and slice_axis X is one of them (leave slice_axis out: slices with "
        "these axes are across Z)",
    ),
    (inferer(mode="x"), 'inferer.args.mode: expected clara, monai or nnunet, found "x"'),
    (inferer(overlap=0.5), "inferer.args: overlap belongs to mode monai, not to clara (clara takes cval)"),
    (
        inferer(mode="monai", mirror_axes=[0]),
        "inferer.args: mirror_axes belongs to mode nnunet, not to monai (monai takes overlap, blend, sigma_scale, "
        "padding_mode, cval)",
    ),
    (
        inferer(mode="nnunet", overlap=0.5),
        "inferer.args: overlap belongs to mode monai, not to nnunet (nnunet takes step_size, blend, sigma_scale, "
        "mirror_axes, cval)",
    ),
    (
        inferer(blend="gaussian"),
        "inferer.args: blend belongs to mode monai and nnunet, not to clara (clara takes cval)",
    ),
    (inferer(mode="monai", blend="linear"), 'inferer.args.blend: expected constant or gaussian, found "linear"'),
    (
        inferer(mode="monai", overlap=1),
        "inferer.args: overlap: found [1.0, 1.0, 1.0] (expected at least 0 and below 1)",
    ),
    (
        inferer(mode="monai", overlap=[0.5, 0.5]),
        "inferer.args.overlap: expected a number, or 3 of them, found [0.5, 0.5]",
    ),
    (inferer(mode="monai", overlap="x"), 'inferer.args.overlap: expected a number, or 3 of them, found "x"'),
    (
        inferer(mode="monai", overlap=[0.5, True, "x"], port="x"),
        'inferer.args.port: expected a port from 1 to 65535, found "x" (and 1 more)',
    ),
    (inferer(port=True), "inferer.args.port: expected a port from 1 to 65535, found true"),
    (inferer(port="8_000"), 'inferer.args.port: expected a port from 1 to 65535, found "8_000"'),
    (inferer(port="+80"), 'inferer.args.port: expected a port from 1 to 65535, found "+80"'),
    (inferer(port=65536), "inferer.args.port: expected a port from 1 to 65535, found 65536"),
    (inferer(mode="\udcff"), 'inferer.args.mode: expected text in UTF-8, found "\\udcff"'),
    (inferer(slots=257), "inferer.args.slots: expected at most 256, found 257"),
    (
        inferer(mode="nnunet", mirror_axes=[0, True, 1.0]),
        "inferer.args.mirror_axes: expected a list of axes, 0 (X), 1 (Y) or 2 (Z), found [0, true, 1.0]",
    ),
    (
        inferer(mode="monai", sigma_scale=0.2),
        "inferer.args: sigma_scale changes nothing with blend constant (set blend to gaussian, or leave it out)",
    ),
    (inferer(mode="nnunet", step_size=0), "inferer.args: step_size: found 0 (expected above 0 and at most 1)"),
    (
        inferer(mode="nnunet", mirror_axes="x"),
        'inferer.args.mirror_axes: expected a list of axes, 0 (X), 1 (Y) or 2 (Z), found "x"',
    ),
    (
        inferer(mode="nnunet", mirror_axes=[3]),
        "inferer.args: mirror_axes: found [3] (expected 0 (X), 1 (Y) and 2 (Z), each once at most)",
    ),
    (
        lung(inferer=component("TRTISSimpleInferer", mode="monai", overlap=0.5)),
        "inferer.args: mode monai, overlap: TRTISSimpleInferer sends the whole volume in one request and has no "
        "windows (leave it out, or use a scanning-window inferer)",
    ),
    (
        lung(inferer=component("TRTISSimpleInferer", roi_size=[96, 96, 96])),
        "inferer.args: roi_size: TRTISSimpleInferer sends the whole volume in one request and has no windows (leave "
        "it out, or use a scanning-window inferer)",
    ),
    (
        lung(inferer=component("TFSimpleInferer", roi=[96, 96, 96], batch_size=2, slots=2, cval=1)),
        "inferer.args: roi_size, batch_size, slots, cval: TFSimpleInferer sends the whole volume in one request and "
        "has no windows (leave it out, or use a scanning-window inferer)",
    ),
    (inferer(output_type="CLASS"), 'inferer.args.output_type: expected "RAW", the only kind of output, found "CLASS"'),
    (inferer(batch_size=0), "inferer.args.batch_size: expected a whole number of at least 1, found 0"),
    (inferer(roi_size=[96, 0]), "inferer.args.roi_size: expected 3 positive whole numbers, found [96, 0]"),
    (
        inferer(roi_size=[9, 9, 9], roi=[9, 9, 9]),
        'inferer.args: "roi" and "roi_size" are the same argument (keep one)',
    ),
    (inferer(ip="a", server_ip="b"), 'inferer.args: "ip" and "server_ip" are the same argument (keep one)'),
    (
        inferer(model_version="latest"),
        'inferer.args.model_version: expected a version number, or -1 for the latest, found "latest"',
    ),
    (
        lung(inferer=None, inference={"rio": [1, 1, 1]}),
        'inference: unknown key "rio"; did you mean "roi"? (it takes roi, batch_size, scanning_window, '
        "channel_first, name, args, image, node_mapping, tf, trtis, image_format, additional_info)",
    ),
    (
        lung(inferer=None, inference={"roi": [1, 1, 1], "args": {"roi": [2, 2, 2]}}),
        "inference.roi: stands in args as well (keep one)",
    ),
    (
        lung(inferer=None, inference={"scanning_window": 3}),
        "inference.scanning_window: expected true or false, found 3",
    ),
    (
        lung(inferer=None, inference={"tf": {"output_nodes": {"a": "x", "b": "y"}}}),
        "inference: one output tensor is supported, found x, y",
    ),
]


@pytest.mark.parametrize(("document", "message"), CASES, ids=[m[:60] for _, m in CASES])
def test_refuses(tmp_path: Path, document: Any, message: str) -> None:
    assert_refused(tmp_path, document, message)
