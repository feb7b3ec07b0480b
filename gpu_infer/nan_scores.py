"""NaN among the scores: whether the file or the model is to blame."""

from __future__ import annotations

from gpu_infer.errors import InputError, ModelError
from gpu_infer.planning.run_plan import Job
from gpu_infer.volume.volume import Volume


def explain_nan_scores(nans: int, job: Job, volume: Volume) -> str:
    """A warning if the `nans` scores that are NaN belong to voxels of the file that are; else an error is raised.

    On the file's own grid, a model that works voxel by voxel answers NaN at those voxels alone: they become background,
    and all other labels are right. One that looks around itself spreads them.

    Raises `InputError` if they spread, `ModelError` if the file has no such voxel.
    """
    if not volume.not_finite:
        raise ModelError(
            f"model {job.model.name} answered NaN: {nans} of the scores, so labels would mean nothing",
            remedy="check the model on this volume (its intensities, its precision: FP16 overflows)",
        )
    own_grid = sorted(job.grid.shape) == sorted(volume.geometry.shape)
    if own_grid and nans <= volume.not_finite * job.fit.channels_out:
        return f"{nans} scores are NaN, at voxels that are NaN or infinite in the file: these become background"
    raise InputError(
        f"{volume.path}: {volume.not_finite} voxels are NaN or infinite, expected finite ones: {nans} of the scores "
        "are NaN, so labels would mean nothing",
        remedy='give LoadNifti "nan": 0 in the configuration, which replaces them, or repair the volume',
    )
