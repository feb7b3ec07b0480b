"""What CropForegroundObject refuses."""

from __future__ import annotations

import numpy as np
import pytest
from pydantic import ValidationError
from transforms_oracle import ARGMAX, BACKEND, STORED, load, transform, volume_of

from gpu_infer.errors import ConfigError
from gpu_infer.transforms.chain.pipeline import Pipeline


def test_a_threshold_and_nonzero_exclude_each_other() -> None:
    with pytest.raises(ValidationError, match='"nonzero" crops to the voxels that are not 0: leave "threshold" out'):
        transform("CropForegroundObject", fields="image", nonzero=True, threshold=0)


@pytest.mark.parametrize("wrong", [-1, [0, 0], [], "a", 1.5])
def test_channels_are_indices(wrong: object) -> None:
    with pytest.raises(ValidationError, match="expected whole numbers of at least 0, every one once"):
        transform("CropForegroundObject", fields="image", channel_indices=wrong)


def test_a_channel_that_is_not_there_is_an_error_before_a_voxel_is_read() -> None:
    pipeline = Pipeline([load(), transform("CropForegroundObject", fields="image", channel_indices=[0, 1])], ARGMAX)
    with pytest.raises(ConfigError, match="channel_indices has 1, 'image' has 1 channels"):
        pipeline.trace(1, volume_of(STORED).geometry, np.int16)
    with pytest.raises(ConfigError, match="channel_indices has 1, 'image' has 1 channels"):
        pipeline.prepare(volume_of(STORED), BACKEND)
