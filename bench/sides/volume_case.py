"""The cases of bench.volume: phantoms, and the same job on each for the operator and for MONAI."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from bench.support import ct

CLASSES = 105
Shape = tuple[int, int, int]


@dataclass(frozen=True)
class Case:
    """A phantom of `shape` voxels (I, J, K); labels in, 105 classes out, or a CT in and 2 classes out."""

    shape: Shape
    many: bool = False

    @property
    def name(self) -> str:
        return "×".join(map(str, self.shape)) + (f", {CLASSES} classes" if self.many else "")

    @property
    def model(self) -> str:
        return "classes105" if self.many else "half"

    @property
    def spacing(self) -> tuple[float, float, float] | None:
        """mm that the CT is resampled to; labels are sent as they are."""
        return None if self.many else (1.0, 1.0, 1.0)

    def config(self, roi: Shape) -> dict[str, Any]:
        """The operator's configuration; the metadata of the model with 105 classes contain its window."""
        pre = ["LoadNifti", "ConvertToChannelsFirst"]
        inferer: dict[str, Any] = {"model_name": self.model}
        transforms: list[dict[str, Any]] = [{"name": name, "args": {"fields": "image"}} for name in pre]
        if self.spacing is not None:
            transforms += [
                {"name": "ScaleByResolution", "args": {"fields": "image", "target_resolution": list(self.spacing)}},
                {"name": "ScaleIntensityRange", "args": {"fields": "image", **ct.WINDOW}},
            ]
            inferer["roi_size"] = list(roi)
        return {
            "batch_size": 1,
            "pre_transforms": transforms,
            "post_transforms": [
                {"name": "ArgmaxAcrossChannels", "args": {"fields": "model"}},
                {"name": "RestoreOriginalShape", "args": {"field": "model", "src_field": "image", "is_label": True}},
            ],
            "writers": [{"name": "MhdWriter", "args": {"field": "model", "dtype": "uint8"}}],
            "inferer": {"name": "TRTISScanWindowInferer", "args": inferer},
        }

    def write(self, path: Path) -> None:
        """The phantom as uncompressed NIfTI."""
        import nibabel

        if self.many:
            i, j, k = (np.arange(n, dtype=np.uint16) for n in self.shape)
            blocks = (i // 7)[None, None, :] * 3 + (j // 11)[None, :, None] * 5 + (k // 3)[:, None, None]
            image = nibabel.Nifti1Image((blocks % CLASSES).astype(np.uint8).transpose(2, 1, 0), np.eye(4))
        else:
            volume = ct.phantom(self.shape)
            image = nibabel.Nifti1Image(volume.data[0], volume.geometry.affine)
        nibabel.save(image, path)


CASES = (
    Case((256, 256, 256)),
    Case((512, 512, 300)),
    Case((512, 512, 1000)),
    Case((768, 768, 768)),
    Case((512, 512, 512), many=True),
)
QUICK = CASES[:2]
ROI = (160, 160, 96)
