"""A server with explicit model control, as NVIDIA's own tool runs it: what is loaded, what is not, what failed."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from gpu_infer.errors import ModelError
from gpu_infer.triton.client.endpoints import Endpoints
from gpu_infer.triton.client.server import Server
from gpu_infer.triton.local import serve
from gpu_infer.triton.local.serve import LocalServer
from gpu_infer.triton.local.server_command import server_options

pytestmark = pytest.mark.slow

TOYS = Path(__file__).parents[2] / "models"


def explicit_options(
    repositories: Sequence[Path], backends: Path, http_port: int, grpc_port: int, *, names: Sequence[str]
) -> list[str]:
    options = server_options(repositories, backends, http_port, grpc_port, names=names)
    return [option.replace("control-mode=none", "control-mode=explicit") for option in options]


@pytest.fixture(scope="module")
def triton(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalServer]:
    """A server with three models, none of them loaded; the code of one is broken."""
    folder = tmp_path_factory.mktemp("repository")
    for name, source in (("grpc_model", "threshold_half"), ("http_model", "threshold_half"), ("broken", "fails")):
        shutil.copytree(TOYS / source, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
        config = folder / name / "config.pbtxt"
        config.write_text(config.read_text().replace(f'"{source}"', f'"{name}"'))
    (folder / "broken" / "1" / "model.py").write_text("raise ValueError('no weights')\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(serve, "server_options", explicit_options)
        with LocalServer(folder) as server:
            yield server


@pytest.mark.parametrize("control", ["grpc", "http"])
def test_models_are_loaded_on_request_alone(triton: LocalServer, control: str) -> None:
    server = Server.connect(Endpoints(http=triton.http, grpc=triton.grpc), control, wait_s=20)
    name = f"{control}_model"
    with pytest.raises(ModelError, match=f"model {name} is in the repository .*, but it is not loaded") as caught:
        server.model(name, wait_s=600)
    assert "--load" in (caught.value.remedy or "")
    with pytest.raises(ModelError, match="no weights"):
        server.model("broken", load=True)
    with pytest.raises(ModelError, match=r"model broken at .* failed to load: .*no weights"):
        server.model("broken", wait_s=600)
    with pytest.raises(ModelError, match="nowhere"):
        server.model("nowhere", load=True)
    # A server with a model that failed is not ready, but live, so a client connects to it.
    server = Server.connect(Endpoints(http=triton.http, grpc=triton.grpc), control, wait_s=20)
    assert server.model(name, load=True).name == name
    assert server.model(name, "1", load=True).version == "1"
