"""The environment's defaults, what wins over what, and every refusal with its words."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import pytest

from gpu_infer.choices import Format
from gpu_infer.errors import ConfigError
from gpu_infer.settings import Settings
from gpu_infer.system.resources import resource_folder

FOLDERS = tuple(map(Path, ("input", "output", "logs", "config.json")))


def test_logs_go_to_the_output_and_nothing_is_published() -> None:
    settings = Settings.from_environment({}, config="c.json")
    assert (settings.input, settings.output, settings.logs) == (Path("/input"), Path("/output"), Path("/output"))
    assert Settings.from_environment({"NVIDIA_CLARA_OUTPUT": "/b"}).logs == Path("/b")
    assert Settings.from_environment({"NVIDIA_CLARA_LOGS": "/c"}, output="o").logs == Path("/c")
    assert Settings.from_environment({}, output="o").logs == Path("o")
    assert settings.publish is None
    assert settings.local_models is None
    assert not settings.explicit_triton
    assert (settings.control, settings.data, settings.require, settings.device) == (
        "auto",
        "auto",
        None,
        "auto",
    )
    assert (settings.slots, settings.slab, settings.wait_s, settings.deadline_s) == (None, True, None, 300)
    assert (settings.connect_wait_s, settings.ready_wait_s) == (5, 600)
    settings = Settings.from_environment({}, wait_s=7)
    assert (settings.connect_wait_s, settings.ready_wait_s) == (7, 7)


def test_packaged_config_is_the_default() -> None:
    assert Settings.from_environment({}).config == resource_folder("config") / "config_inference.json"


def test_environment_and_options() -> None:
    environ = {
        "NVIDIA_CLARA_INPUT": "/a",
        "NVIDIA_CLARA_OUTPUT": "/b",
        "NVIDIA_CLARA_LOGS": "/c",
        "NVIDIA_CLARA_PUBLISHING": "/d",
        "NVIDIA_CLARA_CONFIG_INFERENCE": "/e/config.json",
        "NVIDIA_CLARA_TRTISURI": "triton:9000",
        "NVIDIA_CLARA_NOSYNCLOCK": "TRUE",
    }
    settings = Settings.from_environment(environ)
    assert (settings.input, settings.output, settings.logs) == (Path("/a"), Path("/b"), Path("/c"))
    assert (settings.publish, settings.config) == (Path("/d"), Path("/e/config.json"))
    assert settings.triton_either == "triton:9000"
    assert settings.explicit_triton
    settings = Settings.from_environment(environ, input="/x", publish="", slots=None, roi_size="320,320,64")
    assert (settings.input, settings.publish, settings.slots) == (Path("/x"), None, None)
    assert settings.roi_size == (320, 320, 64)


def test_empty_counts_as_unset_but_for_publishing() -> None:
    environ = {"NVIDIA_CLARA_INPUT": "", "NVIDIA_CLARA_PUBLISHING": "", "NVIDIA_CLARA_TRTISURI": " "}
    settings = Settings.from_environment(environ, config="c.json")
    assert settings.input == Path("/input")
    assert settings.publish is None
    assert not settings.explicit_triton


@pytest.mark.parametrize("name", ["input", "output", "logs", "config"])
def test_an_option_that_is_empty_is_refused(name: str) -> None:
    with pytest.raises(ConfigError, match=f"--{name}: found an empty path") as caught:
        Settings.from_environment({}, **{name: ""})
    assert caught.value.exit_code == 2


def test_later_names_of_the_server() -> None:
    environ = {
        "NVIDIA_TRITON_HTTPURI": "h:8000",
        "NVIDIA_TRITON_GRPCURI": "[::1]:8001",
        "CLARA_TRITON_URI": "e:8002",
    }
    settings = Settings.from_environment(environ, config="c.json")
    assert (settings.triton_http, settings.triton_grpc, settings.triton_either) == (
        "h:8000",
        "[::1]:8001",
        "e:8002",
    )
    settings = Settings.from_environment(environ, config="c.json", triton="o:1")
    assert (settings.triton_http, settings.triton_grpc, settings.triton_either) == (None, None, "o:1")


def test_two_addresses_that_differ_are_not_silent() -> None:
    environ = {"NVIDIA_CLARA_TRTISURI": "a:1", "CLARA_TRITON_URI": "b:1"}
    settings = Settings.from_environment(environ, config="c")
    assert settings.triton_either == "a:1"
    assert settings.warnings == ("NVIDIA_CLARA_TRTISURI=a:1 and CLARA_TRITON_URI=b:1 differ: the first one counts",)
    assert Settings.from_environment(environ, config="c", triton="o:1").warnings == ()
    environ["CLARA_TRITON_URI"] = "a:1"
    assert Settings.from_environment(environ, config="c").warnings == ()


def test_local_server(tmp_path: Path) -> None:
    settings = Settings.from_environment(
        {"NVIDIA_CLARA_TRTISURI": "far:8000"}, config="c", triton="local", models=tmp_path
    )
    assert settings.local_models == tmp_path
    assert not settings.explicit_triton
    assert Settings.from_environment({}, config="c", triton="local").local_models == resource_folder("models")


def test_debugger_port() -> None:
    assert Settings.from_environment({"DEBUG_VSCODE_PORT": "1"}, config="c").debug_port is None
    assert Settings.from_environment({"DEBUG_VSCODE": "TRUE"}, config="c").debug_port == 5678
    assert Settings.from_environment({"DEBUG_VSCODE": "1", "DEBUG_VSCODE_PORT": "3000"}, config="c").debug_port == 3000


@pytest.mark.parametrize(
    ("environ", "options", "message"),
    [
        (
            {"NVIDIA_CLARA_TRTISURI": "http://a:1"},
            {},
            "NVIDIA_CLARA_TRTISURI: .*'http://a:1' has a scheme",
        ),
        ({"NVIDIA_TRITON_GRPCURI": "a"}, {}, "NVIDIA_TRITON_GRPCURI: .*'a' has no"),
        ({"NVIDIA_TRITON_HTTPURI": "a:99999"}, {}, "NVIDIA_TRITON_HTTPURI: .*port '99999'"),
        ({"DEBUG_VSCODE": "banana"}, {}, "DEBUG_VSCODE: found 'banana', expected TRUE, 1, FALSE or 0"),
        ({"DEBUG_VSCODE": "1", "DEBUG_VSCODE_PORT": "x"}, {}, "DEBUG_VSCODE_PORT: found 'x'"),
        ({}, {"triton": "a b:1"}, "--triton: .*'a b:1'"),
        ({}, {"models": "m"}, "--models needs --triton local"),
        ({}, {"triton": "local", "models": "/no/such"}, "--models: no folder /no/such"),
        ({}, {"triton": "local", "models": __file__}, f"--models: {__file__} is a file, expected a folder with one"),
        ({}, {"slots": 0}, "--slots: found 0, expected at least 1"),
        ({}, {"batch_size": -1}, "--batch-size: found -1"),
        ({}, {"wait_s": 0.0}, "--wait: found 0"),
        ({}, {"deadline_s": float("inf")}, "--deadline: found inf"),
        ({}, {"deadline_s": float("nan")}, "--deadline: found nan"),
        ({}, {"roi_size": "320,320"}, "--roi: found '320,320', expected 3 positive integers"),
        ({}, {"roi_size": "0,1,1"}, r"--roi: found \(0, 1, 1\)"),
        ({}, {"mode": "foo"}, "--mode: found 'foo', expected one of clara, monai, nnunet"),
        ({}, {"mode": "monia"}, r"--mode: found 'monia', expected one of clara, monai, nnunet .did you mean monai.?"),
        ({}, {"triton": " "}, "--triton: found an empty address, expected HOST:PORT or local"),
        ({}, {"control": "tcp"}, "--control: found 'tcp', expected one of auto, grpc, http"),
        ({}, {"data": "inline", "require": "cuda_shm"}, "--require cuda_shm contradicts --data inline"),
    ],
)
def test_refusals(environ: dict[str, str], options: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        Settings.from_environment(environ, config="c.json", **options)
    assert caught.value.exit_code == 2
    assert caught.value.remedy


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"slots": "two"}, "--slots: found 'two', expected a whole number (2 keep the server busy)"),
        ({"slots": 257}, "--slots: found 257, expected at most 256 (2 keep the server busy)"),
        ({"wait_s": "soon"}, "--wait: found 'soon', expected a positive number of seconds "),
        ({"roi_size": (4, 4)}, "--roi: found (4, 4), expected 3 positive integers "),
        ({"roi_size": (4, 4, 2.5)}, "--roi: found (4, 4, 2.5), expected 3 positive integers "),
        ({"preview": "maybe"}, "--preview: found 'maybe', expected true or false"),
        ({"model_name": "a/b"}, "model name 'a/b' contains a path"),
        ({"model_name": "\udcff"}, "model name '\\udcff' has blanks at its ends or characters that cannot be printed"),
        (
            {"publish_dialect": "v3"},
            "--publish-dialect: found 'v3', expected one of v1, v2, both (leave it out for the default)",
        ),
        ({"require": "auto"}, "--require: found 'auto', expected one of cuda_shm, system_shm, inline "),
        ({"debug_port": "x"}, "DEBUG_VSCODE_PORT: found 'x', expected a whole number"),
    ],
)
def test_the_constructor_checks_types_and_ranges(values: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        Settings(*FOLDERS, **values)
    assert str(caught.value).startswith(message)


def test_the_constructor_has_the_same_defaults() -> None:
    for settings in (Settings(Path("a"), Path("b")), Settings(output="b", input="a")):  # type: ignore[arg-type]
        assert settings == Settings.from_environment({}, input="a", output="b")
    assert Settings(Path("a"), Path("b"), Path("l")).logs == Path("l")
    assert Settings(Path("a"), Path("b"), logs=Path()).logs == Path()


def test_the_constructor_converts() -> None:
    settings = Settings("a", "b", "c", "d", wait_s=5, roi_size=[4, 5, 6])  # type: ignore[arg-type]
    assert settings.input == Path("a")
    assert (settings.wait_s, settings.roi_size) == (5.0, (4, 5, 6))
    assert settings == Settings(*map(Path, "abcd"), wait_s=5, roi_size=(4, 5, 6))


@pytest.mark.parametrize("arguments", [{"slotz": 1}, {"input": Path("again")}])
def test_unknown_and_double_arguments_are_programming_errors(arguments: dict[str, Any]) -> None:
    with pytest.raises(TypeError):
        Settings(*FOLDERS, **arguments)


@pytest.mark.parametrize("name", ["x.NRRD", "x.NII.GZ", "x.nhdr", "folder/x.hdr", "x.img"])
def test_an_output_that_is_named_like_a_volume_of_another_kind_is_refused(name: str, tmp_path: Path) -> None:
    path, ending = tmp_path / name, name.partition(".")[2]
    with pytest.raises(ConfigError) as caught:
        Settings.from_environment({"NVIDIA_CLARA_OUTPUT": str(path)})
    words = f"--output: found '{path}', a file name that ends with .{ending}, expected a folder or a label map (give a "
    assert str(caught.value).startswith(words)
    path.mkdir(parents=True)
    assert Settings.from_environment({}, output=path).output == path


@pytest.mark.parametrize("name", ["x.dcm", "x.seg.DCM"])
def test_an_output_that_is_named_like_a_dicom_file_is_refused(name: str, tmp_path: Path) -> None:
    words = rf"--output: found '.*{name}', the name of a DICOM file, .* \(give a folder, and --dicom-seg auto for a"
    with pytest.raises(ConfigError, match=words):
        Settings.from_environment({}, output=tmp_path / name)
    (tmp_path / name).mkdir()
    assert Settings.from_environment({}, output=tmp_path / name).output == tmp_path / name


@pytest.mark.parametrize("ending", get_args(Format))
def test_an_output_that_is_named_like_a_label_map_is_that_file(ending: str, tmp_path: Path) -> None:
    path = tmp_path / "new" / f"a.b.{ending}"
    for formats in ([], [ending]):
        settings = Settings.from_environment({}, output=path, formats=formats)
        assert (settings.output, settings.output_name, settings.formats) == (tmp_path / "new", "a.b", (ending,))
        assert settings.logs == tmp_path / "new"
    assert Settings.from_environment({}, output=path, logs="logs").logs == Path("logs")
    assert replace(settings, preview=True).output_name == "a.b"
    path.mkdir(parents=True)
    settings = Settings.from_environment({}, output=path)
    assert (settings.output, settings.output_name, settings.formats) == (path, None, ())


def test_an_output_file_and_another_format_contradict_each_other() -> None:
    words = r"--output: found 'x/y\.nii', a \.nii, expected --format's {} \(leave --format out, or give a folder\)"
    for formats, listed in ((["nii.gz"], r"nii\.gz"), (["nii", "mhd"], "nii, mhd")):
        with pytest.raises(ConfigError, match=words.format(listed)):
            Settings.from_environment({}, output="x/y.nii", formats=formats)


@pytest.mark.parametrize("name", ["out", "out.d", "x.txt", ".nii", "nii.gz"])
def test_any_other_output_is_a_folder(name: str) -> None:
    settings = Settings.from_environment({}, output=name)
    assert (settings.output, settings.output_name, settings.formats) == (Path(name), None, ())


def test_formats_are_listed_once_and_known() -> None:
    assert Settings.from_environment({}, formats=["nii", "mhd", "nii"]).formats == ("nii", "mhd")
    with pytest.raises(ConfigError) as caught:
        Settings.from_environment({}, formats=["mhd", "dcm"])
    choices = "mhd, mha, nii.gz, nii, nrrd, seg.nrrd"
    assert str(caught.value) == f"--format: found 'dcm', expected one of {choices} (leave it out for the default)"


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "a\0b"])
def test_the_name_of_the_label_map_is_no_path(name: str) -> None:
    with pytest.raises(ConfigError, match="output_name: found"):
        Settings(*FOLDERS, output_name=name)
    assert Settings(*FOLDERS, output_name="a").output_name == "a"


def test_missing_arguments_are_programming_errors() -> None:
    with pytest.raises(TypeError, match="output"):
        Settings(Path("input"))  # type: ignore[call-arg]


def test_unknown_override_is_a_programming_error() -> None:
    with pytest.raises(TypeError, match="unknown settings: slotz"):
        Settings.from_environment({}, slotz=1)


def test_a_configuration_may_be_a_folder_with_it(tmp_path: Path) -> None:
    file = tmp_path / "config_inference.json"
    assert Settings.from_environment({}, config=tmp_path).config == tmp_path  # reading it is an error that says so
    file.touch()
    assert Settings.from_environment({}, config=tmp_path).config == file
    assert Settings.from_environment({"NVIDIA_CLARA_CONFIG_INFERENCE": str(tmp_path)}).config == file
    assert Settings.from_environment({}, config=file).config == file


def test_the_input_is_the_first_channel() -> None:
    files = (Path("a.nii"), Path("b.nii"))
    assert Settings(files[0], Path("out"), channels=files).channels == files
    assert Settings("a.nii", "out", channels=["a.nii", "b.nii"]).channels == files  # type: ignore[arg-type]
    assert Settings.from_environment({}, input="a.nii", channels=["a.nii", "b.nii"]).channels == files
    with pytest.raises(ConfigError, match=r"channels: found b\.nii first, expected the input a\.nii"):
        Settings(files[0], Path("out"), channels=files[::-1])
