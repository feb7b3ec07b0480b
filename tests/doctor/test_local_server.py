"""What `--triton local` needs, on folders made for the purpose; nothing is installed or started."""

from __future__ import annotations

import shutil
from collections import namedtuple
from pathlib import Path

import pytest
import SimpleITK as sitk
from other_user import holds_for_another_user, needs_two_users, open_parents
from triton_fakes import HostBackend

from gpu_infer.backends.cpu.backend import CpuBackend
from gpu_infer.config.load import load_config
from gpu_infer.doctor import local_server, server
from gpu_infer.doctor.local_server import check_repository, check_runtime
from gpu_infer.errors import ConfigError
from gpu_infer.planning.run_inputs import RunInputs
from gpu_infer.settings import Settings
from gpu_infer.system.resources import resource_folder
from gpu_infer.triton.local import install
from gpu_infer.volume.read import read_header

Usage = namedtuple("Usage", "total used free")


@pytest.fixture(autouse=True)
def _cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GPU_INFER_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(local_server, "check_driver_library", lambda _: [])


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    for name in ("ct_lung_v1", "ct_liver"):
        (tmp_path / "models" / name / "1").mkdir(parents=True)
        (tmp_path / "models" / name / "1" / "model.onnx").touch()
        (tmp_path / "models" / name / "config.pbtxt").touch()
    return tmp_path / "models"


def test_a_server_that_is_not_installed_is_no_fault(tmp_path: Path) -> None:
    is_installed, (check,) = check_runtime()
    assert not is_installed
    assert (check.name, check.status) == ("local triton", "ok")
    folder = install.environment_folder()
    assert check.found == f"not installed: the first run downloads it (about 450 MB) into {folder}"
    assert not folder.exists()


def test_too_little_space_for_it_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(2**40, 0, 100 << 20))
    is_installed, (check,) = check_runtime()
    assert not is_installed
    assert (check.status, check.exit_code) == ("fail", 5)
    assert check.found == f"not installed, and {tmp_path}/cache has 100 MiB free of the 500 MiB that it needs"


def test_another_python_fails_with_the_way_out(monkeypatch: pytest.MonkeyPatch) -> None:
    def none() -> str:
        raise ConfigError("the local Triton needs Python 3.11 or 3.12", remedy="install python3.11")

    monkeypatch.setattr(install, "base_python", none)
    is_installed, (check,) = check_runtime()
    assert not is_installed
    assert (check.status, check.exit_code, check.remedy) == ("fail", 2, "install python3.11")


def test_models_of_a_repository(repository: Path) -> None:
    check = check_repository(repository, ["ct_liver"])
    assert (check.status, check.found) == ("ok", f"2 in {repository}: ct_liver, ct_lung_v1")
    assert check.details == ["ct_liver", "ct_lung_v1"]
    assert check_repository(repository, []).status == "ok"


def test_a_model_that_the_repository_lacks_fails_with_a_similar_name(repository: Path) -> None:
    check = check_repository(repository, ["ct_lung"])
    assert (check.status, check.exit_code) == ("fail", 4)
    assert check.found == f"model ct_lung is not in the repository {repository}, which has: ct_liver, ct_lung_v1"
    assert check.remedy is not None
    assert check.remedy.endswith('; did you mean "ct_lung_v1"?')


def test_a_model_without_a_version_fails(repository: Path) -> None:
    shutil.rmtree(repository / "ct_liver/1")
    check = check_repository(repository, ["ct_liver"])
    assert (check.status, check.exit_code) == ("fail", 4)
    assert check.found == f"{repository}/ct_liver has no folder of a version"


def test_a_model_without_a_file_fails_unless_it_consists_of_others(repository: Path) -> None:
    (repository / "ct_liver/1/model.onnx").unlink()
    (repository / "ct_liver/1/model.py").symlink_to(repository / "none")
    check = check_repository(repository, ["ct_liver"])
    assert (check.status, check.exit_code) == ("fail", 4)
    assert check.found == f"{repository}/ct_liver has no file in 1"
    (repository / "ct_liver/config.pbtxt").write_text('platform: "ensemble"')
    assert check_repository(repository, ["ct_liver"]).status == "ok"


@needs_two_users
def test_a_repository_that_cannot_be_read_fails(repository: Path) -> None:
    open_parents(repository)
    repository.chmod(0o700)

    def is_refused() -> bool:
        check = check_repository(repository, [])
        return (check.status, check.exit_code) == ("fail", 2)

    assert holds_for_another_user(is_refused)


def test_a_model_in_place_of_the_repository_fails(repository: Path) -> None:
    check = check_repository(repository / "ct_liver", ["ct_liver"])
    assert (check.status, check.exit_code) == ("fail", 2)
    assert check.remedy == f"give its parent, {repository}"


def test_the_plan_of_a_volume_needs_no_server(tmp_path: Path) -> None:
    sitk.WriteImage(sitk.Image([40, 30, 20], sitk.sitkInt16), tmp_path / "scan.nii")
    settings = Settings(input=tmp_path / "scan.nii", output=Path("out"), local_models=resource_folder("models"))
    config = load_config(settings.config, {})
    inputs = RunInputs(settings, config, config.pipeline(), read_header([settings.input]))
    checks = server.check_server(settings, config, inputs, CpuBackend())
    (plan,) = (check for check in checks if check.name == "plan")
    assert plan.status == "ok"
    # Voxels of 1 mm at the packaged 0.8×0.8×5 mm: 40/0.8, 30/0.8 rounded to even, 20/5.
    assert plan.found.startswith("1 window over 50×38×4, peak ")


def test_without_an_installation_nothing_is_started(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def connect(*_: object) -> None:
        raise AssertionError("a server was started")

    monkeypatch.setattr("gpu_infer.connect.connect", connect)
    settings = Settings(input=Path("in"), output=Path("out"), local_models=repository, model_name="ct_liver")
    checks = server.check_server(settings, None, None, HostBackend())  # type: ignore[arg-type]
    assert [(check.name, check.status) for check in checks] == [
        ("local triton", "ok"),
        ("models", "ok"),
        ("leftovers", "ok"),
    ]
