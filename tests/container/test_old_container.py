"""Images and start commands of the Clara Deploy Base Inference Operator V2 work unchanged over our image.

The last stage of the Dockerfile and a derived Dockerfile are carried out below a temporary folder, and this environment
takes the place of the image's. tests/container/prove_dockerfile.py starts main.py in clean Debian roots.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import dockerfile
import numpy as np
import pytest
from images import copy_in, matches
from operator_helpers import config, write_nifti

from gpu_infer.triton.local.serve import LocalServer

ROOT = Path(__file__).resolve().parents[2]
DOCKERFILE = ROOT / "Dockerfile"

# As the original guides write it: the name of the app as a word or as a variable, with or without WORKDIR.
SHORT = """\
FROM app_base_inference_v2
ENV BASE_NAME=app_base_inference_v2
ENV MY_APP_NAME=my_custom_app
COPY ./my_custom_app/config/* ./$BASE_NAME/config/
"""
LONG = """\
# Build upon the base container.
FROM app_base_inference_v2:latest

# A folder in the base container.
ENV BASE_NAME="app_base_inference_v2"

ENV MY_APP_NAME="my_custom_app"

WORKDIR /app

# Overwrite the defaults.
COPY ./$MY_APP_NAME/config/* ./$BASE_NAME/config/
"""
MAIN = ["python3", "./app_base_inference_v2/main.py"]
MODULE = [sys.executable, "-m", "gpu_infer"]
FOLDERS = ["/", "/app"]


def carry_out(stage: dockerfile.Stage, path: Path, root: Path, context: Path, workdir: str) -> None:
    """COPY and RUN of a stage below `root`; absolute paths in a RUN are taken below it, too."""
    variables = dockerfile.Variables(path, None, {})
    for item in stage.instructions:
        variables.take(item)
        text = dockerfile.fill(item.text, variables.visible)
        if item.name == "WORKDIR":
            workdir = text
        elif item.name == "COPY":
            ((sources, origin, destination),) = dockerfile.copies(
                dockerfile.Stage("", "", [dockerfile.Instruction(item.line, "COPY", text)])
            )
            if origin is None:
                copy_in(root, matches(context, sources), workdir, destination)
        elif item.name == "RUN":
            moved = re.sub(r"(?<= )/(?=\w)", f"{root}/", text)
            subprocess.run(["/bin/sh", "-c", moved], check=True, cwd=root)


@pytest.fixture
def image(tmp_path: Path) -> Path:
    """Folder with what our image has in `/`, less the system and Python."""
    root = tmp_path / "image"
    (root / "app").mkdir(parents=True)
    carry_out(dockerfile.stages(DOCKERFILE, {"VARIANT": "cpu"})[-1], DOCKERFILE, root, ROOT, "/")
    return root


def derive(
    image: Path, context: Path, content: dict[str, object], text: str = SHORT, base_workdir: str = "/app"
) -> None:
    """Build a guide's derived image with this configuration."""
    folder = context / "my_custom_app" / "config"
    folder.mkdir(parents=True)
    (folder / "config_inference.json").write_text(json.dumps(content))
    (folder / "model_config.json").write_text("{}")
    (context / "Dockerfile").write_text(text)
    (stage,) = dockerfile.stages(context / "Dockerfile")
    carry_out(stage, context / "Dockerfile", image, context, base_workdir)


def start(image: Path, command: list[str], folder: str, **environ: str) -> subprocess.CompletedProcess[bytes]:
    """Run a command in a folder of the image with the variables that the image sets."""
    env = {
        "PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin",
        "HOME": str(image),
        "NUMBA_CACHE_DIR": str(image / "numba"),
        "NVIDIA_CLARA_CONFIG_INFERENCE": str(image / "app/config/config_inference.json"),
        "NVIDIA_CLARA_NOSYNCLOCK": "TRUE",
        "GPU_INFER_CONTAINER": "1",
    }
    for variable, name in (("INPUT", "input"), ("OUTPUT", "output"), ("LOGS", "logs"), ("PUBLISHING", "publish")):
        env[f"NVIDIA_CLARA_{variable}"] = str(image / name)
    return subprocess.run(
        command, env=env | environ, cwd=image / folder.lstrip("/"), capture_output=True, check=False, timeout=300
    )


@pytest.mark.parametrize("workdir", FOLDERS)
@pytest.mark.parametrize("text", [SHORT, LONG], ids=["short", "long"])
def test_the_configuration_of_a_derived_image_is_the_one_that_runs(
    image: Path, tmp_path: Path, text: str, workdir: str
) -> None:
    content = config("threshold_half")
    content["inferer"]["name"] = "NoSuchInferer"
    derive(image, tmp_path / "context", content, text, workdir)
    assert (image / "app/config/config_render.json").is_file()  # files that are not replaced stay
    for folder in FOLDERS:
        done = start(image, MAIN, folder)
        assert done.returncode == 2
        assert b"NoSuchInferer" in done.stderr


@pytest.mark.parametrize("folder", FOLDERS)
def test_the_old_start_command_is_the_entry_point(image: Path, folder: str) -> None:
    refused = {"NVIDIA_CLARA_TRTISURI": "http://a:b"}
    main, module = (start(image, command, folder, **refused) for command in (MAIN, MODULE))
    assert main.returncode == 2
    assert b"NVIDIA_CLARA_TRTISURI" in main.stderr
    assert (main.returncode, main.stdout, main.stderr) == (module.returncode, module.stdout, module.stderr)


def test_arguments_of_the_old_start_command_select_a_command(image: Path) -> None:
    main, module = (start(image, [*command, "version"], "/") for command in (MAIN, MODULE))
    assert main.returncode == 0
    assert main.stdout == module.stdout


def test_a_run_writes_its_logs_where_the_entry_point_does(image: Path) -> None:
    for command in (MODULE, [*MODULE, "run"]):
        done = start(image, command, "/app", NVIDIA_CLARA_TRTISURI="127.0.0.1:9", NVIDIA_CLARA_OUTPUT="/proc/none")
        assert done.returncode == 2
        assert b"/proc/none: cannot be made" in done.stderr
        assert (image / "logs" / "report.json").is_file()
        (image / "logs" / "report.json").unlink()


def test_custom_components_are_imported_from_app_in_each_folder(image: Path, tmp_path: Path) -> None:
    (image / "app/my_transforms.py").write_text("raise ValueError('my_transforms was imported')\n")
    content = config("threshold_half")
    content["pre_transforms"].append({"path": "my_transforms.Sharpen", "args": {}})
    derive(image, tmp_path / "context", content)
    for folder in FOLDERS:
        done = start(image, MAIN, folder)
        assert done.returncode == 2
        assert b"my_transforms was imported" in done.stderr


def test_any_user_may_write_to_the_folders_of_the_image(image: Path) -> None:
    for name in ("input", "output", "logs", "publish"):
        assert (image / name).stat().st_mode & 0o7777 == 0o1777


@pytest.fixture
def folders() -> Iterator[Path]:
    """A folder that every user can reach, unlike those of pytest, with the ones that an operator is given."""
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        for folder in (root, root / "input", root / "output", root / "logs"):
            folder.mkdir(exist_ok=True)
            folder.chmod(0o755)
        write_nifti(root / "input" / "scan.nii", np.zeros((8, 8, 8), np.float32), np.eye(4))
        (root / "config_inference.json").write_text(json.dumps(config("threshold_half")))
        yield root


def start_as(uid: int, folders: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the entry point as a user whose group is 0, or skip the test if that is impossible here."""
    change = ["setpriv", f"--reuid={uid}", "--regid=0", "--clear-groups", sys.executable]
    env = {
        "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
        "NVIDIA_CLARA_INPUT": str(folders / "input"),
        "NVIDIA_CLARA_OUTPUT": str(folders / "output"),
        "NVIDIA_CLARA_LOGS": str(folders / "logs"),
        "NVIDIA_CLARA_PUBLISHING": "",
        "NVIDIA_CLARA_CONFIG_INFERENCE": str(folders / "config_inference.json"),
        "NVIDIA_CLARA_TRTISURI": "localhost:1",
    }
    if shutil.which("setpriv") is None or subprocess.run([*change, "-c", "import gpu_infer"], check=False).returncode:
        pytest.skip("only root can run as another user, with setpriv and an interpreter that this user can start")
    command = [*change, str(ROOT / "deploy" / "main.py"), *arguments]
    return subprocess.run(command, env=env, capture_output=True, encoding="utf-8", check=False, timeout=100)


def test_the_default_user_is_refused_at_once_in_folders_of_the_caller(folders: Path) -> None:
    """There is no server; the run ends before it would wait for one."""
    done = start_as(10001, folders)
    assert done.returncode == 2
    assert f"error: {folders / 'output'}: cannot be written: Permission denied" in done.stderr.splitlines()[-1]


@pytest.mark.parametrize(
    ("uid", "owner", "status"),
    [(10001, 54321, "fail"), (10001, 0, "fail"), (54321, 54321, "ok"), (0, 54321, "ok"), (0, 0, "ok")],
)
def test_who_may_write_to_the_output_folder(folders: Path, uid: int, owner: int, status: str) -> None:
    """The caller's own uid in the caller's folders, and root (OPERATOR_USER=0:0) everywhere."""
    if os.geteuid() == 0:
        os.chown(folders / "output", owner, owner)
    done = start_as(uid, folders, "doctor", "--wait", "1", "--json")
    (check,) = [item for item in json.loads(done.stdout) if item["name"] == "output"]
    assert check["status"] == status


@pytest.mark.slow
def test_files_are_those_of_a_run_at_the_command_line(image: Path, tmp_path: Path, triton_server: LocalServer) -> None:
    """threshold_half labels voxels above 0.5: numbers worked out by hand, then the same bytes from both commands."""
    volume = np.random.default_rng(5).random((21, 17, 13), dtype=np.float32)
    derive(image, tmp_path / "context", config("threshold_half", roi_size=[16, 16, 16]))
    write_nifti(image / "input" / "scan.nii", volume, np.diag([-1.0, -1.0, 1.0, 1.0]))
    written = []
    runs = [(MAIN, "/"), (MAIN, "/app"), ([*MODULE, "run"], "/app")]
    for command, folder in runs:
        done = start(image, command, folder, NVIDIA_TRITON_GRPCURI=triton_server.grpc)
        assert done.returncode == 0, done.stderr
        files = [p for name in ("output", "publish") for p in sorted((image / name).iterdir())]
        written.append({path.relative_to(image): path.read_bytes() for path in files})
        for name in ("output", "publish"):
            shutil.rmtree(image / name)
    assert written[0] == written[1] == written[2]
    labels = np.frombuffer(written[0][Path("output/scan.raw")], np.uint8).reshape(volume.shape, order="F")
    assert np.array_equal(labels, volume > 0.5)
