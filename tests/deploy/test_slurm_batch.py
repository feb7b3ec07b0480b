"""deploy/slurm/batch.sh in the environment of a Slurm task, with stand-ins for gpu-infer, scontrol and apptainer."""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = ROOT / "deploy" / "slurm" / "batch.sh"
SYSTEM_PATH = "/usr/local/bin:/usr/bin:/bin"

RECORD = """#!/bin/bash
printf '%s\\n' "${0##*/} $*" >>"$CALLS"
"""
GPU_INFER = (
    RECORD
    + """
printf '%s\\n' "threads $NUMBA_NUM_THREADS" >>"$CALLS"
# As gpu-infer: it ends by itself after the first signal. A second TERM kills, a second HUP has no effect.
give_up() {
    echo "$1" >>"$CALLS"
    trap - TERM
    trap "" HUP
    for _ in $(seq 20); do sleep 0.1; done
    exit 130
}
trap 'give_up TERM' TERM
trap 'give_up HUP' HUP
if [ -n "$STAND_IN_SECONDS" ]; then
    echo begun >>"$CALLS"
    for _ in $(seq "$STAND_IN_SECONDS"0); do sleep 0.1; done
fi
exit "${STAND_IN_CODE:-0}"
"""
)
# Waits, then listens at its port for gRPC until a signal.
TRITONSERVER = (
    RECORD
    + """
[ -z "$TRITON_ENDS" ] || exit 1
for option; do [ "${option%%=*}" != --grpc-port ] || port=${option#*=}; done
exec PYTHON -c '
import socket, sys, time
time.sleep(0.3)
server = socket.create_server(("127.0.0.1", int(sys.argv[1])))
while True:
    server.accept()[0].close()
' "$port"
"""
).replace("PYTHON", sys.executable)
# Apptainer: `exec [options] IMAGE program arguments`, with the same environment.
APPTAINER = (
    RECORD
    + """
while [ "${1##*.}" != sif ]; do shift; done
shift
exec "$@"
"""
)


class Task:
    """One task of an array: its folder, its programs, and what they were called with."""

    def __init__(self, root: Path) -> None:
        self.root, self.calls_file = root, root / "calls"
        self.install(root / "bin", "gpu-infer", GPU_INFER)
        self.install(root / "bin", "scontrol", RECORD + 'exit "${SCONTROL_CODE:-0}"\n')
        self.env = {
            "PATH": f"{root / 'bin'}:{SYSTEM_PATH}",
            "HOME": str(root),
            "CALLS": str(self.calls_file),
            "SLURM_JOB_ID": "701",
            "SLURM_ARRAY_JOB_ID": "700",
            "SLURM_ARRAY_TASK_ID": "1",
            "SLURM_ARRAY_TASK_MIN": "0",
            "SLURM_ARRAY_TASK_MAX": "3",
            "SLURM_ARRAY_TASK_COUNT": "4",
            "SLURM_CPUS_PER_TASK": "6",
        }

    def install(self, folder: Path, name: str, text: str) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
        (folder / name).chmod(0o755)

    def start(self, *arguments: str, **env: str) -> subprocess.Popen[str]:
        # Slurm runs a copy of the script in a folder of its own, as the leader of a process group.
        copy = self.root / "slurm_script"
        shutil.copy(SCRIPT, copy)
        return subprocess.Popen(
            ["bash", str(copy), *arguments],
            cwd=self.root,
            env=self.env | env,
            stderr=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            encoding="utf-8",
            start_new_session=True,
        )

    def run(self, *arguments: str, **env: str) -> tuple[int, str]:
        process = self.start(*arguments, **env)
        _, err = process.communicate(timeout=60)
        return process.returncode, err

    def calls(self) -> list[str]:
        return self.calls_file.read_text().splitlines() if self.calls_file.exists() else []

    def children(self, parent: int) -> list[int]:
        return [
            int(word) for word in Path(f"/proc/{parent}/task/{parent}/children").read_text(encoding="utf-8").split()
        ]

    def wait_until_begun(self) -> None:
        deadline = time.monotonic() + 30
        while "begun" not in self.calls():
            assert time.monotonic() < deadline, self.calls()
            time.sleep(0.02)


@pytest.fixture
def task(tmp_path: Path) -> Task:
    return Task(tmp_path)


@pytest.fixture
def begun(task: Task) -> Iterator[subprocess.Popen[str]]:
    process = task.start("cases.csv", "results", STAND_IN_SECONDS="30")
    task.wait_until_begun()
    yield process
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
    process.communicate()


# -- what runs ------------------------------------------------------------------------------------------------------
def test_a_task_runs_the_batch_with_its_own_number_and_its_own_processors(task: Task) -> None:
    code, err = task.run("cases.csv", "results", "--config", "my config")
    assert code == 0, err
    assert task.calls() == [
        "gpu-infer batch --input cases.csv --output results --triton local --part 2/4 --config my config",
        "threads 6",
    ]


def test_the_tasks_of_an_array_take_all_parts(task: Task) -> None:
    for number in range(5, 8):
        task.run("c", "r", SLURM_ARRAY_TASK_ID=str(number), SLURM_ARRAY_TASK_MIN="5", SLURM_ARRAY_TASK_MAX="7",
                 SLURM_ARRAY_TASK_COUNT="3")  # fmt: skip
    assert re.findall(r"--part (\S+)", " ".join(task.calls())) == ["1/3", "2/3", "3/3"]


def test_triton_names_another_server(task: Task) -> None:
    task.run("cases.csv", "results", TRITON="gpu01:8001")
    assert task.calls()[0] == "gpu-infer batch --input cases.csv --output results --triton gpu01:8001 --part 2/4"


def test_a_virtual_environment_comes_before_the_path(task: Task) -> None:
    task.install(task.root / "venv" / "bin", "gpu-infer", RECORD.replace("${0##*/}", "venv") + "exit 0\n")
    assert task.run("cases.csv", "results", VENV=str(task.root / "venv"))[0] == 0
    assert task.calls() == ["venv batch --input cases.csv --output results --triton local --part 2/4"]


@pytest.mark.parametrize("program", ["apptainer", "singularity"])
def test_an_image_runs_in_apptainer(task: Task, program: str) -> None:
    task.install(task.root / "bin", program, APPTAINER)
    (task.root / "gpu_infer.sif").touch()
    code, err = task.run("cases.csv", "results", IMAGE="gpu_infer.sif", BIND="/data,/scratch", STAND_IN_CODE="6")
    assert code == 6, err
    assert task.calls()[:2] == [
        f"{program} exec --nv --bind /data,/scratch --env NVIDIA_CLARA_PUBLISHING= --env NVIDIA_CLARA_LOGS=results "
        "gpu_infer.sif "
        "gpu-infer batch --input cases.csv --output results --triton local --part 2/4",
        "gpu-infer batch --input cases.csv --output results --triton local --part 2/4",
    ]


def test_a_task_starts_an_image_of_triton_and_stops_it(task: Task) -> None:
    task.install(task.root / "bin", "apptainer", APPTAINER)
    task.install(task.root / "bin", "tritonserver", TRITONSERVER)
    (task.root / "triton.sif").touch()
    (task.root / "models").mkdir()
    code, err = task.run("cases.csv", "results", TRITON="triton.sif", MODELS="models", STAND_IN_CODE="6")
    assert code == 6, err
    server, batch = (call for call in task.calls() if call.startswith(("tritonserver", "gpu-infer")))
    assert server == (
        "tritonserver --model-repository=models --model-config-name=onnxruntime --allow-client-shm=true "
        "--allow-metrics=false --http-address=127.0.0.1 --grpc-address=127.0.0.1 --grpc-port=21402 --http-port=21403"
    )
    assert batch == "gpu-infer batch --input cases.csv --output results --triton 127.0.0.1:21402 --part 2/4"
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", 21402), timeout=5)


def test_a_triton_that_ends_at_once_is_a_failure_of_the_server(task: Task) -> None:
    task.install(task.root / "bin", "apptainer", APPTAINER)
    task.install(task.root / "bin", "tritonserver", TRITONSERVER)
    (task.root / "triton.sif").touch()
    (task.root / "models").mkdir()
    code, err = task.run("cases.csv", "results", TRITON="triton.sif", MODELS="models", TRITON_ENDS="yes")
    assert code == 4
    assert "Triton has ended" in err
    assert not any(call.startswith("gpu-infer") for call in task.calls())
    assert task.calls()[-1] == "scontrol requeue 700_1"


def test_the_local_server_serves_the_models(task: Task) -> None:
    task.run("cases.csv", "results", MODELS="my models")
    assert "--triton local --models my models --part 2/4" in task.calls()[0]


def test_without_an_array_the_job_is_one_part(task: Task) -> None:
    for name in [name for name in task.env if "_ARRAY_" in name]:
        del task.env[name]
    assert task.run("cases.csv", "results", STAND_IN_CODE="4")[0] == 4
    assert task.calls()[-1] == "scontrol requeue 701"
    task.calls_file.unlink()
    assert task.run("cases.csv", "results")[0] == 0
    assert task.calls()[0] == "gpu-infer batch --input cases.csv --output results --triton local"


# -- what is refused ------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("arguments", "env", "message"),
    [
        (["cases.csv"], {}, "found 1 arguments, expected the cases and the output folder"),
        (["a", "b"], {"SLURM_JOB_ID": ""}, "not in a job of Slurm"),
        (["a", "b"], {"SLURM_ARRAY_TASK_COUNT": "2"}, "2 tasks from 0 to 3, expected no gaps"),
        (["a", "b"], {"MAX_RESTARTS": "few"}, "MAX_RESTARTS=few: expected a whole number"),
        (["a", "b"], {"VENV": "/nowhere"}, "VENV=/nowhere: no bin/gpu-infer in it"),
        (["a", "b"], {"TRITON": "no.sif"}, "neither apptainer nor singularity found"),
        (["a", "b"], {"TRITON": "gpu01:8001", "MODELS": "/"}, "MODELS is for a server that is started here"),
        (["a", "b"], {"TRITON_ARGS": "--log-verbose=1"}, "TRITON_ARGS is for an image of Triton"),
        (["a", "b"], {"BIND": "/data"}, "BIND is for images"),
        (["a", "b"], {"PATH": SYSTEM_PATH}, "gpu-infer not found"),
    ],
)
def test_what_cannot_run_is_refused(task: Task, arguments: list[str], env: dict[str, str], message: str) -> None:
    code, err = task.run(*arguments, **env)
    assert code == 2
    assert re.fullmatch(r"batch\.sh: error: .*\n", err)
    assert message in err
    assert task.calls() == []


@pytest.mark.parametrize(
    ("env", "message"),
    [
        ({"IMAGE": "no.sif"}, "IMAGE=no.sif: no such file"),
        ({"IMAGE": "a.sif", "VENV": "/"}, "IMAGE and VENV exclude each other"),
        ({"TRITON": "no.sif"}, "TRITON=no.sif: no such file"),
        ({"TRITON": "a.sif"}, "MODELS=: expected the model repository for a.sif"),
    ],
)
def test_images_that_cannot_run_are_refused(task: Task, env: dict[str, str], message: str) -> None:
    task.install(task.root / "bin", "apptainer", APPTAINER)
    (task.root / "a.sif").touch()
    code, err = task.run("cases", "results", **env)
    assert (code, task.calls()) == (2, [])
    assert f"batch.sh: error: {message}" in err


# -- how it ends ----------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("code", [0, 1, 2, 3, 6, 130])
def test_other_codes_are_those_of_the_task(task: Task, code: int) -> None:
    assert task.run("cases.csv", "results", STAND_IN_CODE=str(code))[0] == code
    assert not any(call.startswith("scontrol") for call in task.calls())


@pytest.mark.parametrize("code", [4, 5])
def test_a_failure_of_server_or_machine_requeues_this_task_alone(task: Task, code: int) -> None:
    actual, err = task.run("cases.csv", "results", STAND_IN_CODE=str(code), SLURM_RESTART_COUNT="4")
    assert actual == code
    assert task.calls()[-1] == "scontrol requeue 700_1"
    assert "start 5" in err
    assert "requeued" in err


def test_requeueing_has_a_limit(task: Task) -> None:
    code, err = task.run("cases.csv", "results", STAND_IN_CODE="4", SLURM_RESTART_COUNT="5")
    assert code == 4
    assert "not requeued: it began 6 times" in err
    assert not any(call.startswith("scontrol") for call in task.calls())


def test_a_cluster_that_forbids_requeueing_gets_the_code(task: Task) -> None:
    code, err = task.run("cases.csv", "results", STAND_IN_CODE="5", SCONTROL_CODE="1")
    assert code == 5
    assert "not requeued, see the message of scontrol" in err


def test_at_the_end_of_its_time_a_task_gives_up_cleanly_and_begins_again(
    task: Task, begun: subprocess.Popen[str]
) -> None:
    begun.send_signal(signal.SIGUSR1)  # to the shell alone, as --signal=B: does
    _, err = begun.communicate(timeout=30)
    assert begun.returncode == 130
    assert task.calls().count("TERM") == 1
    assert task.calls()[-1] == "scontrol requeue 700_1"
    assert "the time of this task is up; requeued" in err


@pytest.mark.parametrize("to_every_process", [False, True], ids=["proctrack/cgroup", "proctrack/linuxproc"])
def test_scancel_ends_a_task_cleanly_and_without_requeueing(
    task: Task, begun: subprocess.Popen[str], to_every_process: bool
) -> None:
    for process in [begun.pid, *(task.children(begun.pid) if to_every_process else [])]:
        os.kill(process, signal.SIGTERM)
    begun.communicate(timeout=30)
    assert begun.returncode == 130
    assert [call for call in task.calls() if call in ("TERM", "HUP")] == ["TERM" if to_every_process else "HUP"]
    assert not any(call.startswith("scontrol") for call in task.calls())


# -- the file -------------------------------------------------------------------------------------------------------
def test_directives_come_before_the_first_command() -> None:
    """Slurm reads no #SBATCH line after the first command."""
    lines = SCRIPT.read_text(encoding="utf-8").splitlines()
    command = next(n for n, line in enumerate(lines) if line and not line.startswith("#"))
    directives = [n for n, line in enumerate(lines) if line.startswith("#SBATCH")]
    assert directives
    assert max(directives) < command
    options = dict(re.findall(r"^#SBATCH --([a-z-]+)(?:=(\S+))?$", "\n".join(lines), re.MULTILINE))
    assert len(options) == len(directives)
    assert {"array", "requeue", "gres", "time"} <= options.keys()
    assert options["signal"] == "B:USR1@120"
    assert options["open-mode"] == "append"  # the log of the first attempt stays
    assert "%A_%a" in options["output"]


def test_bash_reads_it() -> None:
    subprocess.run(["bash", "-n", str(SCRIPT)], check=True)


def test_shellcheck() -> None:
    program = shutil.which("shellcheck", path=str(Path(sys.executable).parent))
    if program is None:
        pytest.skip("shellcheck (extra `lint`) is not installed")
    done = subprocess.run([program, str(SCRIPT)], capture_output=True, encoding="utf-8", check=False)
    assert done.returncode == 0, done.stdout
