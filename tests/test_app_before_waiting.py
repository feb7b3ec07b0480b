"""`app.run` refuses bad options, paths and configurations before it waits for a server and before it writes."""

from __future__ import annotations

import json
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

    def call(**settings: Any) -> None:
        folders = {name: tmp_path / name for name in ("input", "output", "logs")}
        app.run(Settings.from_environment({}, **({"publish": "", "triton": "127.0.0.1:9", **folders} | settings)))

    return call


def test_a_missing_input(run: Any, tmp_path: Path) -> None:
    for path in (tmp_path / "none", tmp_path / "none" / "case.nii", Path(__file__) / "case.nii"):
        with pytest.raises(InputError, match=f"^{path}: no such file or folder") as caught:
            run(input=path)
        assert caught.value.exit_code == 3
    assert not (tmp_path / "output").exists()
    assert json.loads((tmp_path / "logs/report.json").read_text())["status"] == "failed"


def test_an_empty_folder_is_read_after_the_server(run: Any) -> None:
    with pytest.raises(AssertionError, match="waited"):
        run()


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

    monkeypatch.setattr("gpu_infer.app.load_config", ends)
    settings = Settings.from_environment(
        {}, input=tmp_path, output=tmp_path / "out", logs=tmp_path / "logs", publish="", config=tmp_path / "c.json"
    )
    with pytest.raises(ConfigError, match=r"called sys\.exit\(0\)"):
        app.run(settings)
    report = json.loads((tmp_path / "logs" / "report.json").read_text())
    assert report["status"] == "failed"
    assert "called sys.exit(0)" in report["error"]
