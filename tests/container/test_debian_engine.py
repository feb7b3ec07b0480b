"""What the stand-in for Docker refuses, as its users see it; test_guide.py shows what it does."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from debian_engine import REFUSED, Engine
from docker_arguments import Refusal, run_arguments
from images import Builder, Image, copy_in, matches
from triton_container import IMAGE

CLIENT = Path(__file__).with_name("docker_client.py")


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    with Engine(tmp_path, Image("base", tmp_path / "base", {})) as running:
        yield running


def docker(engine: Engine, *arguments: str) -> tuple[int, str]:
    """Exit code and stderr."""
    command = [sys.executable, str(CLIENT), *arguments]
    done = subprocess.run(
        command, env={"ENGINE_SOCKET": engine.socket_path}, capture_output=True, encoding="utf-8", check=False
    )
    return done.returncode, done.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["compose", "up"], "compose up: not understood"),
        (["tag", "a", "b"], "No such image: a:latest"),
        (["run", "--gpus", "all", "a"], "unrecognized arguments: --gpus"),
        (["run", "--network", "n", "a"], "network n not found"),
        (["run", "-v", "input:/input", "a"], "--volume input:/input: not understood"),
        (["run", "--rm", "a"], "No such image: a:latest"),
        (["run", "-d", "--name", "t", IMAGE, "trtserver", "--model-store=/models"], "expected tritonserver"),
        (["run", "-d", "--name", "t", IMAGE, "tritonserver", "--model-repository=/models", "--x=1"], "--x=1"),
        (["inspect", "-f", "{{.State.Running}}", "t"], "No such container: t"),
        (["network", "rm", "n"], "network n not found"),
        (["stop", "t"], "No such container: t"),
    ],
)
def test_refusals(engine: Engine, arguments: list[str], message: str) -> None:
    code, err = docker(engine, *arguments)
    assert code == REFUSED
    assert err.startswith("docker: ")
    assert message in err


def test_a_network_exists_once(engine: Engine) -> None:
    assert docker(engine, "network", "inspect", "n")[0] == 1
    assert docker(engine, "network", "create", "n")[0] == 0
    assert docker(engine, "network", "create", "n") == (REFUSED, "docker: network with name n already exists\n")
    assert docker(engine, "network", "inspect", "n")[0] == 0
    assert docker(engine, "network", "remove", "n")[0] == 0


def test_options_after_the_image_belong_to_the_command() -> None:
    options = run_arguments(["-it", "--rm", "-v", "/a:/b:ro", "-e", "A=1", "-e", "B", "image", "sh", "-c", "--rm"])
    assert options.command == ["sh", "-c", "--rm"]
    assert options.binds == [("/a", "/b", "ro")]
    assert options.env == ["A=1", "B"]
    with pytest.raises(Refusal):
        run_arguments(["--ipc", "private", "image"])


def build(context: Path, text: str, *options: str) -> Image:
    (context / "Dockerfile").write_text(text)
    base = Image("base", context / "base", {"PATH": "/bin"})
    lines: list[str] = []
    arguments = dict(option.split("=", 1) for option in options)
    return Builder(context, lines.append).build(context / "Dockerfile", context, arguments, lambda _: base)


def test_what_a_container_starts_with(tmp_path: Path) -> None:
    text = "FROM a\nARG WHO=1:2\nENV A=x B=$PATH\nWORKDIR /app\nWORKDIR sub\nUSER ${WHO}\n" + 'ENTRYPOINT ["p", "q"]\n'
    image = build(tmp_path, text, "WHO=3:4")
    assert (image.env, image.workdir) == ({"PATH": "/bin", "A": "x", "B": "/bin"}, "/app/sub")
    assert (image.user, image.entrypoint) == ("3:4", ("p", "q"))
    assert image.key == "base"


def test_files_are_copied_once_and_again_when_they_change(tmp_path: Path) -> None:
    (tmp_path / "base").mkdir()
    (tmp_path / "config").mkdir()
    (tmp_path / "config" / "a.json").write_text("1")
    text = "FROM a\nWORKDIR /app\nCOPY config/* ./config/\n"
    first, again = build(tmp_path, text), build(tmp_path, text)
    assert first == again
    assert (first.root / "app/config/a.json").read_text() == "1"
    (tmp_path / "config" / "a.json").write_text("2")
    other = build(tmp_path, text)
    assert other.key != first.key
    assert (other.root / "app/config/a.json").read_text() == "2"
    assert list((tmp_path / "base").iterdir()) == []


def test_a_copy_that_matches_nothing_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"COPY config/\*: not in"):
        matches(tmp_path, ["config/*"])


def test_a_folder_is_copied_with_its_content_and_a_file_under_its_new_name(tmp_path: Path) -> None:
    (tmp_path / "from" / "sub").mkdir(parents=True)
    (tmp_path / "from" / "sub" / "x").write_text("x")
    copy_in(tmp_path / "root", [tmp_path / "from"], "/app", "/data")
    copy_in(tmp_path / "root", [tmp_path / "from" / "sub" / "x"], "/app", "y")
    assert (tmp_path / "root/data/sub/x").read_text() == (tmp_path / "root/app/y").read_text() == "x"
