"""`app.run` refuses bad options, paths and configurations before it waits for a server and before it writes."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any

import pytest

from gpu_infer import app
from gpu_infer.errors import ConfigError, InputError
from gpu_infer.settings import Settings
from gpu_infer.system.resources import resource_folder
from gpu_infer.triton.client.server import Server


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Run the operator with the packaged configuration and other settings; waiting for a server fails the test."""

    def wait(*_args: Any, **_options: Any) -> None:
        raise AssertionError("waited for a server")

    monkeypatch.setattr(Server, "connect", wait)
    (tmp_path / "input").mkdir()

    def call(*, environ: dict[str, str] | None = None, **settings: Any) -> None:
        folders = {name: tmp_path / name for name in ("input", "output", "logs")}
        app.run(
            Settings.from_environment(environ or {}, **({"publish": "", "triton": "127.0.0.1:9", **folders} | settings))
        )

    return call


def test_a_missing_input(run: Any, tmp_path: Path) -> None:
    for path in (tmp_path / "none", tmp_path / "none" / "case.nii", Path(__file__) / "case.nii"):
        with pytest.raises(InputError, match=f"^{path}: no such file or folder") as caught:
            run(input=path)
        assert caught.value.exit_code == 3
    assert not (tmp_path / "output").exists()
    assert json.loads((tmp_path / "logs/report.json").read_text())["status"] == "failed"


def test_an_empty_folder(run: Any, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=rf"^{tmp_path}/input: No supported input file found \("):
        run()


@pytest.mark.parametrize("option", ["publish", "logs"])
def test_a_folder_that_is_a_file_or_below_one(run: Any, tmp_path: Path, option: str) -> None:
    (tmp_path / "file").touch()
    for path in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(ConfigError, match=f"^--{option}: found '{path}', but {tmp_path}/file is a file"):
            run(**{option: path})


def test_a_broken_header(run: Any, tmp_path: Path) -> None:
    path = tmp_path / "input" / "case.nii"
    path.write_bytes(b"no header")
    with pytest.raises(InputError, match=rf"^{path}: ") as caught:
        run(input=path)
    assert caught.value.exit_code == 3
    report = json.loads((tmp_path / "logs/report.json").read_text())
    assert list(report["stages"]) == ["configure", "read"]


def test_a_container_reads_the_input_after_the_server(run: Any) -> None:
    with pytest.raises(AssertionError, match="waited"):
        run(server_first=True)


def test_the_configuration_comes_first(run: Any, tmp_path: Path) -> None:
    with pytest.raises(ConfigError):
        run(input=tmp_path / "none", config=tmp_path / "none.json")


def test_options_that_a_simple_inferer_cannot_follow(run: Any, tmp_path: Path) -> None:
    content = json.loads((resource_folder("config") / "config_inference.json").read_text())
    content["inferer"] = {"name": "TRTISSimpleInferer", "args": {"model_name": "m"}}
    path = tmp_path / "config.json"
    path.write_text(json.dumps(content))
    with pytest.raises(ConfigError, match=r"^--roi, --slots: TRTISSimpleInferer sends the whole volume in one request"):
        run(config=path, roi_size="8,8,8", slots=2)


@pytest.mark.parametrize("name", ["GPU_INFER_KERNELS", "GPU_INFER_CACHE", "NUMBA_CACHE_DIR", "CUPY_CACHE_DIR"])
def test_variables_that_name_no_folder(run: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    (tmp_path / "file").touch()
    for value in (tmp_path / "file", tmp_path / "file" / "below"):
        monkeypatch.setenv(name, str(value))
        with pytest.raises(ConfigError, match=f"^{name}: .*{value}"):
            run(input=tmp_path / "none")
        assert json.loads((tmp_path / "logs/report.json").read_text())["error"].startswith(name)


def test_kernels_compiled_beforehand_that_are_not_there(
    run: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GPU_INFER_KERNELS", str(tmp_path / "none"))
    with pytest.raises(ConfigError, match=rf"^GPU_INFER_KERNELS: no folder {tmp_path}/none, expected the folder of"):
        run()
    for name in ("GPU_INFER_CACHE", "NUMBA_CACHE_DIR", "CUPY_CACHE_DIR"):  # made if missing
        monkeypatch.setenv(name, str(tmp_path / "none"))
    monkeypatch.setenv("GPU_INFER_KERNELS", str(tmp_path))
    with pytest.raises(AssertionError, match="waited"):
        run(server_first=True)


def test_addresses_that_differ_are_logged_and_reported(
    run: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    message = "NVIDIA_CLARA_TRTISURI=a:1 and CLARA_TRITON_URI=b:1 differ: the first one counts"
    with pytest.raises(AssertionError, match="waited"):
        run(environ={"NVIDIA_CLARA_TRTISURI": "a:1", "CLARA_TRITON_URI": "b:1"}, triton=None, server_first=True)
    assert [record.message for record in caplog.records if record.levelname == "WARNING"] == [message]
    assert json.loads((tmp_path / "logs/report.json").read_text())["warnings"] == [message]


def test_a_mode_that_does_not_go_with_the_configuration(run: Any, tmp_path: Path) -> None:
    content = json.loads((resource_folder("config") / "config_inference.json").read_text())
    content["inferer"]["args"] |= {"mode": "monai", "overlap": 0.5}
    path = tmp_path / "config.json"
    path.write_text(json.dumps(content))
    with pytest.raises(ConfigError, match=r"^--mode clara: overlap belongs to mode monai, not to clara"):
        run(config=path, mode="clara")


def test_a_data_transport_that_does_not_exist(run: Any) -> None:
    with pytest.raises(ConfigError, match="--require cuda_shm contradicts --data inline"):
        run(data="inline", require="cuda_shm")


def test_a_device_that_cannot_be_used(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cupy", None)
    for name in [name for name in sys.modules if name.startswith("gpu_infer.backends.gpu.backend")]:
        monkeypatch.delitem(sys.modules, name)
    with pytest.raises(ConfigError, match="device gpu: CuPy cannot be imported"):
        run(device="gpu")


def test_code_that_exits_while_the_run_is_on_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def ends(*_: object) -> None:
        sys.exit(0)

    monkeypatch.setattr("gpu_infer.planning.configuration.load_config", ends)
    settings = Settings.from_environment(
        {}, input=tmp_path, output=tmp_path / "out", logs=tmp_path / "logs", publish="", config=tmp_path / "c.json"
    )
    with pytest.raises(ConfigError, match=r"called sys\.exit\(0\)"):
        app.run(settings)
    report = json.loads((tmp_path / "logs" / "report.json").read_text())
    assert report["status"] == "failed"
    assert "called sys.exit(0)" in report["error"]


def test_a_mistake_in_a_custom_component_is_in_the_report(
    run: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "reported_component.py").write_text(
        "from gpu_infer.transforms.base import Metadata\n"
        "class Mine(Metadata):\n"
        "    def update(self, fields):\n"
        "        raise RuntimeError('no atlas')\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    content = json.loads((resource_folder("config") / "config_inference.json").read_text())
    content["pre_transforms"].append({"path": "reported_component.Mine", "args": {"fields": "image"}})
    path = tmp_path / "config.json"
    path.write_text(json.dumps(content))
    place = f"{path}: pre_transforms[{len(content['pre_transforms']) - 1}]: Mine: update failed: RuntimeError: no atlas"
    with pytest.raises(ConfigError, match=re.escape(place)):
        run(config=path)
    report = json.loads((tmp_path / "logs" / "report.json").read_text())
    assert report["status"] == "failed"
    assert report["error"].startswith(place)
