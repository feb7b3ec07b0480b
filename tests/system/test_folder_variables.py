"""Environment variables that name folders."""

from __future__ import annotations

from pathlib import Path

import pytest

from gpu_infer.errors import ConfigError
from gpu_infer.system.folder_variables import check_folder_variables, folder_refusals

CACHES = ["GPU_INFER_CACHE", "NUMBA_CACHE_DIR", "CUPY_CACHE_DIR"]


def test_unset_and_empty_variables_pass() -> None:
    assert folder_refusals({}) == []
    assert folder_refusals(dict.fromkeys([*CACHES, "GPU_INFER_KERNELS"], "")) == []


@pytest.mark.parametrize("name", CACHES)
def test_a_cache_that_is_missing_passes_and_is_not_created(name: str, tmp_path: Path) -> None:
    check_folder_variables({name: str(tmp_path / "a" / "b")})
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", CACHES)
def test_a_file_at_or_above_a_cache_is_refused(name: str, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for folder in (tmp_path / "file", tmp_path / "file" / "sub"):
        with pytest.raises(ConfigError, match=f"{name}: {folder} cannot be a folder, found a file at {tmp_path}/file"):
            check_folder_variables({name: str(folder)})


@pytest.mark.parametrize("text", ["missing", "null\0character", "x" * 5000])
def test_kernels_must_be_a_folder(text: str, tmp_path: Path) -> None:
    check_folder_variables({"GPU_INFER_KERNELS": str(tmp_path)})
    with pytest.raises(ConfigError, match="GPU_INFER_KERNELS: no folder"):
        check_folder_variables({"GPU_INFER_KERNELS": f"{tmp_path}/{text}"})


def test_every_refusal_is_listed_and_the_first_is_raised(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    environ = {"GPU_INFER_KERNELS": str(tmp_path / "file"), "NUMBA_CACHE_DIR": str(tmp_path / "file")}
    assert [str(error).split(":")[0] for error in folder_refusals(environ)] == ["GPU_INFER_KERNELS", "NUMBA_CACHE_DIR"]
    with pytest.raises(ConfigError, match="GPU_INFER_KERNELS"):
        check_folder_variables(environ)
