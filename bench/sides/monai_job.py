"""A whole job with MONAI, from file to file: the peer of the operator in two benches."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bench.support.ct import WINDOW
from bench.support.predictors import Predictor

OVERLAP = 0.25


class MonaiJob:
    """The chains of transforms, created once; the constructor imports MONAI and PyTorch.

    output   folder of the labels, `<name of the input>_seg.nii`, uint8
    window   (X, Y, Z) of the model's input, in voxels of the grid after resampling
    spacing  mm, in RAS order; None: neither resampled nor scaled, as label volumes are
    device   device of the tensors, "cpu" or "cuda"; files are read and written on the host
    """

    def __init__(
        self,
        output: Path,
        window: tuple[int, ...],
        *,
        spacing: tuple[float, ...] | None = None,
        device: str = "cpu",
    ) -> None:
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

        self.output = output
        self.window = window
        self.device = device
        self._load = Compose([LoadImaged(keys="image"), EnsureChannelFirstd(keys="image")])
        chain = [Orientationd(keys="image", axcodes="RAS", labels=None)]
        if spacing is not None:
            chain += [
                Spacingd(keys="image", pixdim=spacing, mode="bilinear"),
                ScaleIntensityRanged(keys="image", **WINDOW),
            ]
        self._prepare = Compose(chain)
        self._sliding_window_inference = sliding_window_inference
        self._argmax = AsDiscreted(keys="pred", argmax=True)
        self._invert = Invertd(
            keys="pred", transform=self._prepare, orig_keys="image", nearest_interp=True, to_tensor=True
        )
        self._save = SaveImaged(
            keys="pred",
            output_dir=output,
            output_postfix="seg",
            output_ext=".nii",
            output_dtype="uint8",
            resample=False,
            separate_folder=False,
            print_log=False,
        )

    def run(self, path: Path, predictor: Predictor) -> tuple[dict[str, float], Path]:
        """Seconds of read, prepare, infer, restore and write, work on the device awaited; the file of the labels."""
        stages: dict[str, float] = {}
        with self._stage("read", stages):
            data = self._load({"image": path})
        with self._stage("prepare", stages):
            data["image"] = data["image"].to(self.device)
            data = self._prepare(data)
        with self._stage("infer", stages):
            data["pred"] = self._scores(data["image"], predictor)
        with self._stage("restore", stages):
            data = self._argmax(data)  # one by one: as a chain they would keep the scores to the end
            data = self._invert(data)
        with self._stage("write", stages):
            self._save(data)
        return stages, self.output / f"{path.name.removesuffix('.gz').removesuffix('.nii')}_seg.nii"

    def _scores(self, image: Any, predictor: Predictor) -> Any:
        """MetaTensor [K, X, Y, Z]."""
        import torch
        from monai.data import MetaTensor

        with torch.no_grad():
            scores = self._sliding_window_inference(
                image[None], self.window, 1, predictor, overlap=OVERLAP, sw_device=self.device, device=self.device
            )
        return MetaTensor(scores[0].as_tensor(), meta=image.meta)

    @contextmanager
    def _stage(self, name: str, stages: dict[str, float]) -> Iterator[None]:
        began = time.perf_counter()
        yield
        if self.device == "cuda":
            import torch

            torch.cuda.synchronize()
        stages[name] = round(time.perf_counter() - began, 4)
