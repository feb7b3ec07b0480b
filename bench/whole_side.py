"""A side of MONAI's in bench.whole, a process of its own: `python -m bench.whole_side SIDE --input CT ...`.

Prints one line of JSON at the end: seconds per stage, peak memory, and where the labels are.

monai-http  MONAI's transforms and sliding_window_inference; tiles travel as MONAI Deploy's remote model sends them:
            Triton's HTTP client, binary tensors inside the request, one at a time
monai-grpc  the same over gRPC
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bench.measure import peak_rss

MODEL = "segmentation_ct_lung_v1"
WINDOW = (320, 320, 64)
SPACING = (0.8, 0.8, 5.0)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.whole_side", description=__doc__)
    parser.add_argument("side", choices=["monai-http", "monai-grpc"])
    parser.add_argument("--input", type=Path, required=True)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--http", required=True)
    parser.add_argument("--grpc", required=True)
    arguments = parser.parse_args()
    predictors = {"monai-http": http_predictor, "monai-grpc": grpc_predictor}
    url = arguments.http if arguments.side == "monai-http" else arguments.grpc
    stages, labels = monai(arguments.input, arguments.output, predictors[arguments.side](url))
    facts = {"stages": stages, "labels": str(labels), "peak_bytes": peak_rss()}
    sys.stdout.write(json.dumps(facts) + "\n")


def monai(path: Path, output: Path, predictor: Callable[[Any], Any]) -> tuple[dict[str, float], Path]:
    """The lung configuration's road in MONAI's words."""
    stages: dict[str, float] = {}

    @contextmanager
    def stage(name: str) -> Iterator[None]:
        began = time.perf_counter()
        yield
        stages[name] = round(time.perf_counter() - began, 4)

    with stage("import"):
        import torch
        from monai.data import MetaTensor
        from monai.inferers import sliding_window_inference
        from monai.transforms import (
            AsDiscreted,
            Compose,
            EnsureChannelFirstd,
            Invertd,
            LoadImaged,
            Orientationd,
            SaveImaged,
            ScaleIntensityRanged,
            Spacingd,
        )
    load = Compose([LoadImaged(keys="image"), EnsureChannelFirstd(keys="image")])
    prepare = Compose(
        [
            Orientationd(keys="image", axcodes="RAS", labels=None),
            Spacingd(keys="image", pixdim=SPACING, mode="bilinear"),
            ScaleIntensityRanged(keys="image", a_min=-1500, a_max=500, b_min=0.0, b_max=1.0, clip=True),
        ]
    )
    finish = Compose(
        [
            AsDiscreted(keys="pred", argmax=True),
            Invertd(keys="pred", transform=prepare, orig_keys="image", nearest_interp=True, to_tensor=True),
        ]
    )
    save = SaveImaged(
        keys="pred",
        output_dir=output,
        output_postfix="seg",
        output_ext=".nii",
        output_dtype="uint8",
        resample=False,
        separate_folder=False,
        print_log=False,
    )
    with stage("read"):
        data = load({"image": path})
    with stage("prepare"):
        data = prepare(data)
    with stage("infer"), torch.no_grad():
        image = data["image"]
        scores = sliding_window_inference(image[None], WINDOW, 1, predictor, overlap=0.25)
    with stage("restore"):
        data["pred"] = MetaTensor(scores[0].as_tensor(), meta=image.meta)
        data = finish(data)
    with stage("write"):
        save(data)
    return stages, next(output.glob("*_seg.nii"))


def http_predictor(url: str) -> Callable[[Any], Any]:
    """Tiles over HTTP, the tensors as bytes inside the message."""
    import tritonclient.http as triton

    client = triton.InferenceServerClient(url, network_timeout=600.0)
    return lambda tile: _infer(triton, client, tile, {"binary_data": True})


def grpc_predictor(url: str) -> Callable[[Any], Any]:
    """Tiles over gRPC, the tensors as bytes inside the message."""
    import tritonclient.grpc as triton

    client = triton.InferenceServerClient(url)
    return lambda tile: _infer(triton, client, tile, {})


def _infer(triton: Any, client: Any, tile: Any, binary: dict[str, bool]) -> Any:
    import torch

    values = tile.numpy()
    tensor = triton.InferInput("NV_MODEL_INPUT", list(values.shape), "FP32")
    tensor.set_data_from_numpy(values, **binary)
    wanted = triton.InferRequestedOutput("NV_MODEL_OUTPUT", **binary)
    answer = client.infer(MODEL, [tensor], outputs=[wanted]).as_numpy("NV_MODEL_OUTPUT")
    return torch.from_numpy(answer.copy())


if __name__ == "__main__":
    main()
