"""NaN among the scores: decides whether the file or the model is the cause."""

from __future__ import annotations

from gpu_infer.errors import InputError, ModelError
from gpu_infer.planning.run_plan import RunPlan
from gpu_infer.volume.volume import Volume


def explain_nan_scores(nans: int, plan: RunPlan, volume: Volume) -> str:
    """Return a warning if the `nans` scores that are NaN belong to voxels that are NaN in the file; else raise.

    On the file's own grid, a model that works voxel by voxel answers NaN at those voxels alone: they become background,
    and all other labels are right. A model that reads neighbouring voxels spreads NaN to them.

    Raises:
        InputError: The scores that are NaN are more than the file's voxels that are NaN.
        ModelError: The file has no voxel that is NaN.
    """
    if not volume.not_finite:
        raise ModelError(
            f"model {plan.model_names} answered NaN: {nans} of the scores, so labels would mean nothing",
            remedy="check the model on this volume (its intensities, its precision: FP16 overflows)",
        )
    own_grid = sorted(plan.grid.shape) == sorted(volume.geometry.shape)
    if own_grid and nans <= volume.not_finite * plan.fit.channels_out:
        return f"{nans} scores are NaN, at voxels that are NaN or infinite in the file: these become background"
    raise InputError(
        f"{volume.path}: {volume.not_finite} voxels are NaN or infinite, expected finite ones: {nans} of the scores "
        "are NaN, so labels would mean nothing",
        remedy='give LoadNifti "nan": 0 in the configuration, which replaces them, or repair the volume',
    )
