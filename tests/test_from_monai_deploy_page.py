"""docs/from-monai-deploy.md names transforms, arguments, options and variables that exist."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
from dicom_series import write_series, write_slice
from operator_helpers import write_nifti
from peers_ours import prepared
from typer.testing import CliRunner

from gpu_infer.cli.main import app
from gpu_infer.config.inferer import InfererArguments
from gpu_infer.config.load import load_config
from gpu_infer.errors import InputError
from gpu_infer.inferers.modes import window_mode
from gpu_infer.settings import Settings
from gpu_infer.system.resources import resource_folder
from gpu_infer.transforms.registry import TRANSFORMS
from gpu_infer.volume.input_files import choose_input
from gpu_infer.volume.read import read_volume
from gpu_infer.writers.metaimage import write_pair
from gpu_infer.writers.publish import publish

ROOT = Path(__file__).resolve().parents[1]
PAGE = (ROOT / "docs" / "from-monai-deploy.md").read_text(encoding="utf-8")
OPTIONS = (ROOT / "docs" / "options.md").read_text(encoding="utf-8")
EXAMPLE = ROOT / "examples" / "from_monai_deploy" / "config" / "config_inference.json"


def _rows(heading: str) -> list[list[str]]:
    """Cells of the rows of the table below a heading, without the row of titles."""
    section = re.split(rf"^## {heading}$", PAGE, flags=re.MULTILINE)[1].split("\n## ")[0]
    lines = [line for line in section.splitlines() if line.startswith("|")][2:]
    return [[cell.strip() for cell in line.split("|")[1:-1]] for line in lines]


def _code(cell: str) -> list[str]:
    return re.findall(r"`([^`]+)`", cell)


def test_transforms_of_the_table_exist() -> None:
    names = {name for cells in _rows("Transforms") for name in _code(cells[1]) if name[0].isupper()}
    assert {"ScaleByResolution", "RestoreOriginalShape"} <= names
    assert names <= set(TRANSFORMS)


@pytest.mark.parametrize("cells", _rows("Environment variables"), ids=lambda cells: _code(cells[0])[0])
def test_variable_and_option_of_a_row_are_one_setting(cells: list[str]) -> None:
    """As in the table of options, which is held to the command line."""
    section = OPTIONS.split("## gpu-infer run")[1].split("\n## ")[0]
    rows = [line.split("|") for line in section.splitlines() if line.startswith("| ")]
    variables = {option: set(_code(row[2])) for row in rows for option in re.findall(r"--[a-z]+", row[1])}
    options = [code.split()[0] for code in _code(cells[2])]
    assert set(options) <= set(variables)
    named = [name for name in _code(cells[1]) if name.startswith("NVIDIA_")]
    assert not named or variables[options[0]] == set(named)


def test_no_variable_of_the_app_sdk_has_an_effect() -> None:
    names = {name for cells in _rows("Environment variables") for name in _code(cells[0])}
    assert len(names) == 12
    assert Settings.from_environment(dict.fromkeys(names, "/somewhere")) == Settings.from_environment({})


def test_the_example_is_the_chain_of_the_page() -> None:
    config = json.loads(EXAMPLE.read_text(encoding="utf-8"))
    arguments = config["inferer"]["args"]
    cell = next(cells[1] for cells in _rows("The spleen application") if "roi_size" in cells[0])
    assert json.loads("{" + ", ".join(_code(cell)) + "}") == arguments
    chain = [step["name"] for part in ("pre_transforms", "post_transforms") for step in config[part]]
    order = [name for cells in _rows("The spleen application") for name in _code(cells[1]) if name in TRANSFORMS]
    assert order == chain
    assert load_config(EXAMPLE, {}).pre[2].args.target_resolution == (1.5, 1.5, 2.9)


def test_validate_needs_the_client_side_folder_alone(tmp_path: Path) -> None:
    """A folder as models_client_side of the App SDK's example: no network, no version, a platform for TorchScript."""
    scan = write_nifti(tmp_path / "scan.nii.gz", np.zeros((256, 256, 60), np.int16), np.diag([0.8, 0.8, 5.0, 1.0]))
    model = tmp_path / "models_client_side" / "spleen_ct"
    model.mkdir(parents=True)
    (model / "config.pbtxt").write_text(
        'platform: "pytorch_libtorch"\nmax_batch_size: 16\ndefault_model_filename: "network.ts"\n'
        'input [{ name: "INPUT_0" data_type: TYPE_FP32 dims: [ 1, 96, 96, 96 ] }]\n'
        'output [{ name: "OUTPUT_0" data_type: TYPE_FP32 dims: [ 2, 96, 96, 96 ] }]\n'
    )
    result = CliRunner().invoke(app, ["validate", str(EXAMPLE), "--input", str(scan), "--models", str(model.parent)])
    assert result.exit_code == 0, result.output
    # per axis of 137 voxels 1 + ceil((137 - 96) / 38) windows, of 103 voxels 1 + ceil(7 / 38)
    assert "18 windows of 96×96×96 over 137×137×103, mode monai, batch 4" in result.output


def test_defaults_of_the_inferer_are_as_there() -> None:
    assert window_mode("monai", {}).overlap == (0.25, 0.25, 0.25)
    assert {"roi_size", "overlap", "batch_size"} <= set(InfererArguments.model_fields)


def test_numbers_of_the_spacing() -> None:
    """512 voxels of 0.8 mm at 1.5 mm: ours keeps both ends, MONAI's keeps the first sample and the spacing."""
    voxels = np.zeros((1, 512, 1, 1), np.int16)
    resolution = {"target_resolution": [1.5, 1.0, 1.0]}
    samples = prepared(voxels, ("ScaleByResolution", resolution), affine=np.diag([0.8, 1, 1, 1])).shape[1]
    extent_mm = 511 * 0.8
    assert samples == 273
    assert f"{extent_mm / (samples - 1):.3f}" == "1.503"
    assert round(extent_mm / 1.5) + 1 == 274
    assert "273 samples 1.503 mm apart here, and 274 samples 1.5 mm apart" in PAGE.replace("\n  ", " ")


def test_a_folder_or_its_only_sub_folder_holds_the_series(tmp_path: Path) -> None:
    write_series(tmp_path / "a", range(4))
    assert choose_input(tmp_path) == tmp_path / "a"


def test_two_series_in_a_folder_are_refused_by_the_library(tmp_path: Path) -> None:
    write_series(tmp_path, range(4))
    for number in range(4):
        write_slice(tmp_path / f"other{number}", number, series="1.2.3")
    with pytest.raises(InputError, match="2 DICOM series"):
        read_volume(tmp_path)


def test_keys_of_the_published_settings(tmp_path: Path) -> None:
    """Those of PublisherOperator's config.meta."""
    volume = read_volume(write_nifti(tmp_path / "scan.nii.gz", np.zeros((4, 3, 2), np.int16), np.eye(4)))
    mask, _ = write_pair(np.zeros((4, 3, 2), np.uint8), volume.geometry, tmp_path, "scan")
    folder, settings = tmp_path / "publish", resource_folder("config") / "config_render.json"
    publish(volume, mask, "spleen_ct", folder, settings, dialect="v2")
    meta = json.loads((folder / "config.meta").read_text(encoding="utf-8"))
    assert meta.keys() == {"data", "name", "settings"}
    assert [entry.keys() for entry in meta["data"]] == [{"file", "order"}] * 2
