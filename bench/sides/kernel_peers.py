"""The same work in other packages on the same device, in those that are installed."""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec
from typing import Any

import numpy as np

from bench.sides.kernel_work import WINDOW, Scene, blobs, class_scores

Peers = dict[str, dict[str, Callable[[], object]]]

PREPARE = "prepare, linear to 1 mm"
CUBIC = "cubic to 1 mm"
RESTORE = "restore"
RESTORE_SCORES = "restore, scores to labels"
COMPONENTS = "largest components"


def peers(s: Scene) -> Peers:
    """Per row of the table the peers' calls: turned to RAS, linear or cubic, scaled and clipped; nearest back to the
    file; scores linear back to the file, then their argmax; each label's largest component."""
    from gpu_infer.backends.gpu.device.cupy_import import cupy

    calls: Peers = {PREPARE: {}, CUBIC: {}, RESTORE: {}, RESTORE_SCORES: {}, COMPONENTS: {}}
    labels, scores = s.backend.upload(blobs(s.grid)), s.backend.upload(class_scores(1, s.grid)[0])

    def scaled(values: Any) -> Any:
        return cupy.clip(values * np.float32(WINDOW.scale) + np.float32(WINDOW.shift), 0, 1)

    def turned() -> Any:
        return cupy.ascontiguousarray(s.stored[0]).astype(np.float32)

    def to_file(values: Any) -> Any:
        return cupy.ascontiguousarray(values[::-1, ::-1].transpose(2, 1, 0))

    if find_spec("cupyx") is not None:
        from cupyx.scipy.ndimage import zoom

        there = [b / a for a, b in zip(s.shape, s.grid, strict=True)]
        back = [a / b for a, b in zip(s.shape, s.grid, strict=True)]
        calls[PREPARE]["cupyx.scipy.ndimage.zoom"] = lambda: scaled(zoom(turned(), there, order=1))
        calls[CUBIC]["cupyx.scipy.ndimage.zoom"] = lambda: scaled(zoom(turned(), there, order=3, mode="nearest"))
        calls[RESTORE]["cupyx.scipy.ndimage.zoom"] = lambda: to_file(zoom(labels, back, order=0))
        calls[RESTORE_SCORES]["cupyx.scipy.ndimage.zoom"] = lambda: to_file(
            zoom(scores, (1, *back), order=1).argmax(0).astype(np.uint8)
        )
    if find_spec("cucim") is not None:
        from cucim.skimage.measure import label
        from cucim.skimage.transform import resize

        def largest() -> Any:
            components = label(labels.astype(np.int32), background=0, connectivity=1)
            sizes = cupy.bincount(components.ravel())
            label_of = cupy.zeros(sizes.size, np.uint8)
            label_of[components] = labels
            chosen = cupy.zeros(sizes.size, np.uint8)
            for value in range(1, 4):
                chosen[cupy.where(label_of == value, sizes, 0).argmax()] = value
            return chosen[components]

        calls[COMPONENTS]["cuCIM label"] = largest
        options = {"preserve_range": True, "anti_aliasing": False}
        calls[PREPARE]["cuCIM resize"] = lambda: scaled(resize(turned(), s.grid, order=1, **options))
        calls[CUBIC]["cuCIM resize"] = lambda: scaled(resize(turned(), s.grid, order=3, mode="edge", **options))
        calls[RESTORE]["cuCIM resize"] = lambda: to_file(resize(labels, s.shape, order=0, **options).astype(np.uint8))
    if find_spec("torch") is not None:
        import torch

        if torch.cuda.is_available():
            dense = cupy.ascontiguousarray(s.stored[0, ::-1, ::-1].transpose(2, 1, 0))  # PyTorch has no negative steps
            source = torch.from_dlpack(dense).permute(2, 1, 0)
            there_labels = torch.from_dlpack(labels)
            resized = torch.nn.functional.interpolate

            def prepare() -> Any:
                image = source.flip(0, 1).float()[None, None]
                values = resized(image, size=s.grid, mode="trilinear", align_corners=True)
                return (values * WINDOW.scale + WINDOW.shift).clamp_(0, 1)

            def restore() -> Any:
                nearest = resized(there_labels[None, None], size=s.shape, mode="nearest-exact")[0, 0]
                return nearest.flip(0, 1).permute(2, 1, 0).contiguous()

            there_scores = torch.from_dlpack(scores)

            def restore_scores() -> Any:
                whole = resized(there_scores[None], size=s.shape, mode="trilinear", align_corners=True)[0]
                return whole.argmax(0).to(torch.uint8).flip(0, 1).permute(2, 1, 0).contiguous()

            calls[PREPARE]["torch interpolate"] = prepare
            calls[RESTORE_SCORES]["torch interpolate"] = restore_scores
            calls[RESTORE]["torch interpolate"] = restore
    return calls
