"""The table of the libraries' filters, and what is said if a library is missing."""

from __future__ import annotations

import sys

import pytest

from gpu_infer.backends.filters import ball
from gpu_infer.errors import ConfigError
from gpu_infer.planning.run_plan import check_gpu_filters
from gpu_infer.transforms.chain.pipeline import Pipeline
from gpu_infer.transforms.intensity.gaussian_smooth import GaussianSmooth
from gpu_infer.transforms.io.load_nifti import LoadNifti
from gpu_infer.transforms.labels.argmax_across_channels import ArgmaxAcrossChannels


def test_a_ball_has_the_offsets_within_its_radius() -> None:
    assert ball((1.0, 1.0, 1.0)).sum() == 7
    assert ball((2.0, 1.0, 0.5)).shape == (5, 3, 1)


def test_a_missing_library_is_refused_when_the_configuration_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "skimage.filters", None)
    with pytest.raises(ConfigError, match=r"skimage\.filters\.gaussian cannot be imported") as refused:
        GaussianSmooth(fields="image")
    assert refused.value.remedy == "pip install 'gpu-infer[filters]'"


def test_a_gpu_without_cucim_is_refused_when_the_run_is_planned(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cucim.skimage.filters", None)
    chain = [LoadNifti(fields="image"), GaussianSmooth(fields="image")]
    pipeline = Pipeline(chain, [ArgmaxAcrossChannels(fields="model")])
    with pytest.raises(ConfigError, match=r"cucim\.skimage\.filters\.gaussian cannot be imported") as refused:
        check_gpu_filters(pipeline)
    assert refused.value.remedy is not None
    assert "run with --device cpu" in refused.value.remedy
