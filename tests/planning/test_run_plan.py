"""What a window mode means for the plan of a run: requests, slots, memory and the lines that `validate` prints."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest

from gpu_infer.errors import ConfigError
from gpu_infer.planning.dry_run import plan
from gpu_infer.settings import Settings
from gpu_infer.system.resources import resource_folder


@pytest.fixture
def planned(tmp_path: Path) -> Any:
    """Lines of `validate` for the packaged configuration with other arguments of the inferer."""
    content = json.loads((resource_folder("config") / "config_inference.json").read_text())
    volume = nib.Nifti1Image(np.zeros((330, 330, 20), np.int16), np.diag([0.8, 0.8, 5.0, 1.0]))
    nib.save(volume, tmp_path / "case.nii")

    def lines(option: str | None = None, **arguments: Any) -> list[str]:
        content["inferer"]["args"] |= arguments
        path = tmp_path / "config_inference.json"
        path.write_text(json.dumps(content))
        settings = Settings.from_environment({}, config=path, mode=option, output=tmp_path, logs=tmp_path)
        return plan(settings, tmp_path / "case.nii")

    return lines


def windows(lines: list[str]) -> str:
    return next(line for line in lines if "windows" in line)


def test_clara_monai_and_nnunet(planned: Any) -> None:
    assert windows(planned()).startswith("4 windows of 320×320×64 over 330×330×20, mode clara, batch 2, 2 slots")
    assert "mode monai, batch 2, 2 slots" in windows(planned("monai"))
    lines = planned("nnunet")
    assert "mode nnunet, gaussian weights, batch 2, 2 slots" in windows(lines)
    assert any(line.startswith("importance map") and line.endswith("25.0 MiB") for line in lines)
    assert not any(line.startswith("importance map") for line in planned("clara"))


def test_mirrors_are_requests(planned: Any) -> None:
    line = windows(planned(mode="nnunet", mirror_axes=[0, 1, 2], blend="constant"))
    assert line.startswith("4 windows")
    assert "mode nnunet, mirrored in 8 combinations, batch 2, 2 slots" in line


def test_an_option_against_the_configuration(planned: Any) -> None:
    with pytest.raises(ConfigError, match="step_size belongs to mode nnunet, not to monai"):
        planned("monai", mode="nnunet", step_size=0.25)
