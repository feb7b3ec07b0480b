"""The steps of the guide of the Clara Deploy Base Inference Operator V2 lead to its files, with our image and Triton.

Images are root folders on Debian, and `docker` is a client of tests/container/debian_engine.py; scripts run as they
would with Docker. Besides the names of images, two things differ from the guide: Triton's program with its options, and
the condition of the loop that waits for it, which read an answer of protocol V1.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from debian_engine import Engine
from debian_root import why_no_root
from images import debian_image
from operator_helpers import config, write_nifti
from prove_dockerfile import FOLDER_VARIABLE
from real_device import why_no_triton
from triton_container import IMAGE as TRITON_IMAGE

from gpu_infer.writers.page.asset import has_viewer

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]

ROOT = Path(__file__).resolve().parents[2]
NEW_SCRIPT = ROOT / "deploy" / "run_operator.sh"
CLIENT = Path(__file__).with_name("docker_client.py")
MODEL = "threshold_half"
CALLER = 54321

# One that every user can start; that of this environment may be in a home folder.
PYTHON = shutil.which("python3", path="/usr/bin:/bin:/usr/local/bin") or sys.executable

IMAGES = {"image of uid 10001": "gpu_infer:cpu", "image of root": "gpu_infer:root"}
BUILD_IMAGES = """\
docker build -t gpu_infer:cpu --build-arg VARIANT=cpu .
docker build -t gpu_infer:root --build-arg VARIANT=cpu --build-arg OPERATOR_USER=0:0 .
docker tag gpu_infer:cpu gpu_infer
"""

DOCKERFILE = """\
FROM app_base_inference_v2:latest
ENV BASE_NAME="app_base_inference_v2"
ENV MY_APP_NAME="my_custom_app"
WORKDIR /app
COPY ./$MY_APP_NAME/config/* ./$BASE_NAME/config/
"""

BUILD_APP = """\
APP_NAME="my_custom_app"
docker build -t ${APP_NAME} -f ${APP_NAME}/Dockerfile .
"""

OLD_SCRIPT = f"""\
#!/bin/bash
export NVIDIA_CLARA_TRTISURI="localhost:8000"
APP_NAME="my_custom_app"
TRTIS_IMAGE="{TRITON_IMAGE}"
MODEL_NAME="{MODEL}"
NETWORK_NAME="container-demo"

docker network create ${{NETWORK_NAME}}

nvidia-docker run --name trtis --network ${{NETWORK_NAME}} -d --rm --shm-size=1g \\
    --ulimit memlock=-1 --ulimit stack=67108864 -p 8000:8000 \\
    -v $(pwd)/models/${{MODEL_NAME}}:/models/${{MODEL_NAME}} ${{TRTIS_IMAGE}} \\
    tritonserver --model-repository=/models --model-config-name=onnxruntime --allow-client-shm=true

trtis_local_uri=$(docker inspect -f '{{{{range .NetworkSettings.Networks}}}}{{{{.IPAddress}}}}{{{{end}}}}' trtis)
until curl -s -f ${{trtis_local_uri}}:8000/v2/health/ready; do
    sleep 1
done
export NVIDIA_CLARA_TRTISURI="${{trtis_local_uri}}:8000"

docker run --name ${{APP_NAME}} --network ${{NETWORK_NAME}} -it --rm \\
    -v $(pwd)/input:/input \\
    -v $(pwd)/output:/output \\
    -v $(pwd)/logs:/logs \\
    -v $(pwd)/publish:/publish \\
    -e NVIDIA_CLARA_TRTISURI \\
    -e NVIDIA_CLARA_NOSYNCLOCK=TRUE \\
    ${{APP_NAME}}
echo "exit code $?"

docker stop trtis > /dev/null
docker network remove ${{NETWORK_NAME}} > /dev/null
"""

SCRIPTS = {
    "run_app_docker.sh": OLD_SCRIPT,
    "run_app_as_caller.sh": OLD_SCRIPT.replace(" -it --rm ", ' -it --rm --user "$(id -u):$(id -g)" '),
}

OUTPUT = {"image.mhd", "image.raw"}
PAGE = {"index.html", "niivue.umd.js", "niivue.LICENSE.txt"} if has_viewer() else set()
PUBLISH = {"config.meta", "config_render.json", "image.nii.gz", *OUTPUT, "image.out.mhd", "image.out.raw", *PAGE}
LOGS = {"gpu_infer.log", "report.json"}


@pytest.fixture(scope="module")
def roots() -> Iterator[Path]:
    """Folder of the root folders; one that GPU_INFER_DEBIAN names may have them from an earlier run."""
    name = os.environ.get(FOLDER_VARIABLE)
    missing = [program for program in ("setpriv", "curl") if shutil.which(program) is None]
    reason = f"{' and '.join(missing)} not installed" if missing else why_no_root() or why_no_triton()
    if reason and name:
        pytest.fail(reason)
    if reason:
        pytest.skip(reason)
    if name:
        yield Path(name)
        return
    with tempfile.TemporaryDirectory(prefix="gpu_infer-guide.", dir="/var/tmp") as name:
        yield Path(name)


@pytest.fixture(scope="module")
def engine(roots: Path) -> Iterator[Engine]:
    """An engine that has built our image for uid 10001 and for root, as docs/deploy.md shows."""
    try:
        base = debian_image(roots)
    except RuntimeError as error:
        pytest.skip(f"no Debian root: {error}")
    with Engine(roots, base) as running:
        with tempfile.TemporaryDirectory(dir="/var/tmp") as name:
            done = Place(Path(name), running).shell(BUILD_IMAGES, ROOT)
        assert done.returncode == 0, done.stderr
        yield running


class Place:
    """A working folder of the guide, and `docker` on the PATH of what runs there."""

    def __init__(self, folder: Path, engine: Engine) -> None:
        self.folder, self.engine = folder, engine
        folder.chmod(0o755)
        (folder / "bin").mkdir()
        for name in ("docker", "nvidia-docker"):
            program = folder / "bin" / name
            program.write_text(f"#!{PYTHON}\n{CLIENT.read_text()}")
            program.chmod(0o755)

    def shell(
        self, script: str, folder: Path | None = None, uid: int = 0, **env: str
    ) -> subprocess.CompletedProcess[str]:
        environ = {"PATH": f"{self.folder}/bin:/usr/bin:/bin", "ENGINE_SOCKET": self.engine.socket_path}
        user = ["setpriv", f"--reuid={uid}", f"--regid={uid}", "--clear-groups"] if uid else []
        return subprocess.run(
            [*user, "bash", "-c", script],
            cwd=folder or self.folder,
            env=environ | env,
            capture_output=True,
            encoding="utf-8",
            check=False,
        )

    def make_folders(self, owner: int, mode: int = 0o755) -> None:
        """Empty folders for what a run writes, as the guide's second step has them."""
        for name in ("output", "logs", "publish"):
            shutil.rmtree(self.folder / name, ignore_errors=True)
            (self.folder / name).mkdir()
            os.chown(self.folder / name, owner, owner)
            (self.folder / name).chmod(mode)

    def names(self, folder: str) -> set[str]:
        return {path.name for path in (self.folder / folder).iterdir()}

    def content(self) -> dict[str, bytes]:
        """Files for others to read: the log and the report have times."""
        paths = [path for name in ("output", "publish") for path in (self.folder / name).iterdir()]
        return {str(path.relative_to(self.folder)): path.read_bytes() for path in paths}

    def owners(self) -> set[int]:
        return {path.stat().st_uid for name in ("output", "logs", "publish") for path in (self.folder / name).iterdir()}

    def report(self) -> dict[str, object]:
        return dict(json.loads((self.folder / "logs" / "report.json").read_text()))

    def transport(self) -> str:
        return str(self.report()["triton"]["data"])  # type: ignore[index]


@pytest.fixture(scope="module")
def volume() -> np.ndarray:
    return np.random.default_rng(7).random((41, 37, 33), dtype=np.float32)


@pytest.fixture(scope="module")
def place(engine: Engine, volume: np.ndarray) -> Iterator[Place]:
    """The guide's folders with a volume, its model and its configuration; the guide's images under their names."""
    with tempfile.TemporaryDirectory(prefix="guide.", dir="/var/tmp") as name:
        actual = Place(Path(name), engine)
        shutil.copytree(ROOT / "tests" / "models" / MODEL, actual.folder / "models" / MODEL)
        write_nifti(actual.folder / "input" / "image.nii.gz", volume, np.diag([-0.8, -0.8, 2.5, 1.0]))
        settings = config(MODEL, roi_size=[16, 16, 16], ip="localhost", port=8000, protocol="HTTP")
        settings["model_loader"] = {"name": "TRTISModelLoader", "args": {"model_spec_file_name": "{PBTXT_PATH}"}}
        app = actual.folder / "my_custom_app"
        (app / "config").mkdir(parents=True)
        (app / "config" / "config_inference.json").write_text(json.dumps(settings))
        (app / "config" / "model_config.json").write_text(json.dumps({"model_name": MODEL}))
        (app / "Dockerfile").write_text(DOCKERFILE)
        for script, text in SCRIPTS.items():
            (actual.folder / script).write_text(text)
            (actual.folder / script).chmod(0o755)
        yield actual


def build_app(place: Place, image: str) -> None:
    for step in (f"docker tag {image} app_base_inference_v2:latest", BUILD_APP):
        done = place.shell(step)
        assert done.returncode == 0, done.stderr


def run_old_script(place: Place, uid: int = 0, name: str = "run_app_docker.sh") -> subprocess.CompletedProcess[str]:
    """Run the script; it leaves no network and no container, so that the next one can start."""
    done = place.shell(f"./{name}", uid=uid)
    assert place.shell("docker network inspect container-demo").returncode == 1, done.stderr
    assert place.shell("docker inspect -f '{{.State.Running}}' trtis").returncode != 0
    return done


@pytest.fixture(scope="module")
def expected(place: Place) -> dict[str, bytes]:
    """Files of `gpu-infer run`, from this environment, on the same input and configuration."""
    place.make_folders(0)
    options = [f"--{name}={place.folder / name}" for name in ("input", "output", "logs", "publish")]
    settings = f"--config={place.folder}/my_custom_app/config/config_inference.json"
    server = ["--triton=local", f"--models={place.folder}/models", "--device=cpu"]
    subprocess.run([sys.executable, "-m", "gpu_infer", "run", *options, settings, *server], check=True)
    return place.content()


def test_the_steps_end_with_the_files_of_the_guide(
    place: Place, expected: dict[str, bytes], volume: np.ndarray
) -> None:
    """The label map is worked out by hand; all other bytes are those of a run at a terminal."""
    build_app(place, IMAGES["image of root"])
    assert "app_base_inference_v2:latest\n" in place.shell("docker images").stdout
    place.make_folders(CALLER)
    done = run_old_script(place)
    assert "exit code 0" in done.stdout, done.stderr
    assert (place.names("output"), place.names("publish"), place.names("logs")) == (OUTPUT, PUBLISH, LOGS)
    labels = np.frombuffer((place.folder / "output" / "image.raw").read_bytes(), np.uint8)
    assert np.array_equal(labels.reshape(volume.shape, order="F"), volume > 0.5)
    assert place.content() == expected
    assert place.transport() == "inline"  # each container has its own /dev/shm


@pytest.mark.parametrize(
    ("folder", "file"), [("examples", "my_custom_app/Dockerfile"), ("deploy/custom", "Dockerfile")]
)
def test_the_configurations_of_the_examples_are_valid_in_their_images(place: Place, folder: str, file: str) -> None:
    steps = (
        f"docker build -t example -f {file} .",
        "docker run --rm example validate /app/config/config_inference.json",
    )
    for step in steps:
        done = place.shell(step, ROOT / folder)
        assert done.returncode == 0, done.stderr
    assert "valid" in done.stdout
    settings = (ROOT / folder / Path(file).parent / "config" / "config_inference.json").read_text()
    shown = place.shell("docker run --rm --entrypoint /bin/cat example config/config_inference.json")
    assert shown.stdout == settings


@pytest.mark.parametrize("folder", ["/", "/app"])
def test_the_operator_starts_by_hand_in_a_shell_of_its_container(place: Place, folder: str) -> None:
    build_app(place, IMAGES["image of uid 10001"])
    command = f"cd {folder} && python ./app_base_inference_v2/main.py"
    start = (
        f"docker run -it --rm -e NVIDIA_CLARA_TRTISURI=http://a:b --entrypoint /bin/bash my_custom_app -c '{command}'"
    )
    done = place.shell(start)
    assert done.returncode == 2
    assert "NVIDIA_CLARA_TRTISURI" in done.stderr


ALLOWED = [
    ("image of root", CALLER, 0o755, 0),
    ("image of root", 0, 0o755, 0),
    ("image of uid 10001", 10001, 0o755, 10001),
    ("image of uid 10001", CALLER, 0o1777, 10001),
]
REFUSED = [("image of uid 10001", CALLER), ("image of uid 10001", 0)]


@pytest.mark.parametrize(("image", "owner", "mode", "writer"), ALLOWED)
def test_who_writes_under_the_old_script(
    place: Place, expected: dict[str, bytes], image: str, owner: int, mode: int, writer: int
) -> None:
    build_app(place, IMAGES[image])
    place.make_folders(owner, mode)
    done = run_old_script(place, uid=CALLER)
    assert "exit code 0" in done.stdout, done.stderr
    assert place.content() == expected
    assert place.owners() == {writer}


def test_the_caller_writes_if_the_old_script_passes_it_as_user(place: Place, expected: dict[str, bytes]) -> None:
    build_app(place, IMAGES["image of uid 10001"])
    place.make_folders(CALLER)
    done = run_old_script(place, uid=CALLER, name="run_app_as_caller.sh")
    assert "exit code 0" in done.stdout, done.stderr
    assert place.content() == expected
    assert place.owners() == {CALLER}


@pytest.mark.parametrize(("image", "owner"), REFUSED)
def test_the_default_user_is_refused_under_the_old_script(place: Place, image: str, owner: int) -> None:
    build_app(place, IMAGES[image])
    place.make_folders(owner)
    done = run_old_script(place, uid=CALLER)
    assert "exit code 2" in done.stdout
    assert "error: /output: cannot be written: Permission denied" in done.stderr
    assert place.names("output") == place.names("publish") == set()


@pytest.mark.parametrize(("image", "code"), [("image of root", 0), ("image of uid 10001", 2)])
def test_folders_that_the_engine_makes_belong_to_root(place: Place, image: str, code: int) -> None:
    build_app(place, IMAGES[image])
    for name in ("output", "logs", "publish"):
        shutil.rmtree(place.folder / name, ignore_errors=True)
    done = run_old_script(place)
    assert f"exit code {code}" in done.stdout, done.stderr
    assert (place.folder / "output").stat().st_uid == 0


@pytest.mark.parametrize("image", IMAGES)
def test_our_script_runs_the_operator_as_the_caller(place: Place, expected: dict[str, bytes], image: str) -> None:
    build_app(place, IMAGES[image])
    place.make_folders(CALLER)
    script = f"{NEW_SCRIPT} --cpu --image my_custom_app"
    done = place.shell(script, uid=CALLER, TRITON_IMAGE=TRITON_IMAGE)
    assert done.returncode == 0, done.stderr
    assert place.content() == expected
    assert place.owners() == {CALLER}
    assert place.transport() == "system_shm"  # both containers have the host's /dev/shm
    assert place.names("output") == OUTPUT
