"""`find_cases` with the settings of a batch, and what a dry run shows."""

from __future__ import annotations

import json
import pickle
from pathlib import Path

import pytest
from case_files import touch
from config_files import component, lung

from gpu_infer.batch.case import Case
from gpu_infer.batch.cases.describe import Row, describe
from gpu_infer.batch.cases.find import find_cases
from gpu_infer.batch.job import BatchJob
from gpu_infer.errors import ConfigError, GpuInferError, InputError
from gpu_infer.settings import Settings


def config(folder: Path, **changes: object) -> Path:
    path = folder / "config_inference.json"
    path.write_text(json.dumps(lung(**changes)))
    return path


def refused(source: object, settings: Settings, error: type[GpuInferError] = ConfigError) -> str:
    with pytest.raises(error) as caught:
        find_cases(source, settings)  # type: ignore[arg-type]
    return str(caught.value)


def test_the_settings_of_each_case(tmp_path: Path) -> None:
    root = touch(tmp_path / "in", "a_0000.nii", "a_0001.nii")
    settings = Settings(root, tmp_path / "out", name="x-{name}", logs=tmp_path / "logs")
    (case,) = find_cases(root, settings)
    assert case == Case("x-a", (root / "a_0000.nii", root / "a_0001.nii"))
    run = BatchJob(settings).case_settings(case)
    assert (run.input, run.channels) == (root / "a_0000.nii", case.inputs)
    assert run.output == run.logs == tmp_path / "out" / "x-a"
    assert (run.output_name, run.name) == (None, "x-a")
    assert pickle.loads(pickle.dumps(case)) == case


def test_one_input_has_no_channels(tmp_path: Path) -> None:
    root = touch(tmp_path / "in", "a.nii")
    settings = Settings(root, tmp_path / "out")
    (case,) = find_cases(str(root), settings)
    assert BatchJob(settings).case_settings(case).channels == ()


def test_the_patterns_of_the_configuration_count(tmp_path: Path) -> None:
    root = touch(tmp_path / "in", "p1/a_t1.nii", "p1/a_t2.nii")
    load = component("LoadNifti", fields="image", files=["*_t1.nii", "*_t2.nii"])
    chain = [load, *lung()["pre_transforms"][1:]]
    settings = Settings(root, tmp_path / "out", config=config(tmp_path, pre_transforms=chain))
    assert [case.inputs for case in find_cases(root, settings)] == [(root / "p1",)]
    both = Settings(root, tmp_path / "out", config=settings.config, series="Modality=CT")
    assert "--series contradicts LoadNifti's `files`" in refused(root, both)


def test_rules_of_the_configuration_do_not_refuse_volume_files(tmp_path: Path) -> None:
    root = touch(tmp_path / "in", "a.nii")
    settings = Settings(root, tmp_path / "out", config=config(tmp_path, series="Modality=CT"))
    assert [case.id for case in find_cases(root, settings)] == ["a"]


@pytest.mark.parametrize("series", ["2", "1.2.840.1"])
def test_a_number_or_uid_chooses_no_series_of_many_studies(tmp_path: Path, series: str) -> None:
    root = touch(tmp_path / "in", "a.nii")
    message = refused(root, Settings(root, tmp_path / "out", series=series))
    assert "expected a rule: a batch has many studies" in message
    assert "1.2.840.1" not in message


def test_an_output_that_is_a_file_is_refused(tmp_path: Path) -> None:
    root = touch(tmp_path / "in", "a.nii")
    message = refused(root, Settings(root, tmp_path / "b.mhd"))
    assert "--output: found the name of one file, 'b', expected the folder of a batch" in message


@pytest.mark.parametrize("source", ["", " ", [], ["a.nii", ""]])
def test_an_empty_input_is_refused(tmp_path: Path, source: object) -> None:
    assert "--input: found an empty path" in refused(source, Settings(tmp_path, tmp_path / "out"))


def test_a_missing_input_is_refused(tmp_path: Path) -> None:
    settings = Settings(tmp_path, tmp_path / "out")
    assert "no such file or folder" in refused(tmp_path / "x.csv", settings, InputError)


def test_what_a_dry_run_shows() -> None:
    cases = [
        Case("a", (Path("/d/x/a0.nii"), Path("/d/x/a1.nii"))),
        Case("b", (Path("/d/y"),), "1.2.3"),
    ]
    assert describe(cases) == (Path("/d"), [Row("a", ("x/a0.nii", "x/a1.nii"), 2, False), Row("b", ("y",), 1, True)])
    assert describe([]) == (Path(), [])
    assert cases[1].public() == {"id": "b", "inputs": ["/d/y"]}
