from __future__ import annotations

from pathlib import Path

import pytest

from gpu_infer.system.host_memory import free_host_bytes

_GIB = 1 << 30


def _root(tmp_path: Path, cgroup: str, files: dict[str, str]) -> Path:
    everything = {
        "proc/meminfo": f"MemTotal: 1 kB\nMemAvailable:   {8 * _GIB // 1024} kB\n",
        "proc/self/cgroup": cgroup,
    }
    for name, text in {**everything, **files}.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return tmp_path


def _v2(folder: str, limit: str, used: int, cache: int = 0) -> dict[str, str]:
    top = f"sys/fs/cgroup/{folder}"
    return {
        f"{top}memory.max": f"{limit}\n",
        f"{top}memory.current": f"{used}\n",
        f"{top}memory.stat": f"anon 1\ninactive_file {cache}\nactive_file 3\n",
    }


def test_without_a_limit_it_is_what_the_kernel_says(tmp_path: Path) -> None:
    assert free_host_bytes(_root(tmp_path, "0::/\n", _v2("", "max", _GIB))) == 8 * _GIB


def test_a_v2_limit_counts_droppable_cache_as_free(tmp_path: Path) -> None:
    root = _root(tmp_path, "0::/\n", _v2("", str(4 * _GIB), 3 * _GIB, _GIB))
    assert free_host_bytes(root) == 2 * _GIB


def test_the_tightest_level_counts(tmp_path: Path) -> None:
    files = _v2("", "max", 0) | _v2("pod/", str(3 * _GIB), _GIB) | _v2("pod/job/", str(6 * _GIB), _GIB)
    assert free_host_bytes(_root(tmp_path, "0::/pod/job\n", files)) == 2 * _GIB


def test_the_path_of_the_host_is_no_obstacle(tmp_path: Path) -> None:
    root = _root(tmp_path, "0::/kubepods/abc\n", _v2("", str(2 * _GIB), _GIB))
    assert free_host_bytes(root) == _GIB


def test_a_v1_limit(tmp_path: Path) -> None:
    top = "sys/fs/cgroup/memory/"
    files = {
        f"{top}memory.limit_in_bytes": str(5 * _GIB),
        f"{top}memory.usage_in_bytes": str(2 * _GIB),
        f"{top}memory.stat": f"total_inactive_file {_GIB}\n",
        f"{top}child/memory.limit_in_bytes": "9223372036854771712",
        f"{top}child/memory.usage_in_bytes": "1",
        f"{top}child/memory.stat": "",
    }
    root = _root(tmp_path, "4:cpu,cpuacct:/x\n3:memory:/child\n", files)
    assert free_host_bytes(root) == 4 * _GIB


def test_a_limit_that_is_exceeded_leaves_nothing(tmp_path: Path) -> None:
    assert free_host_bytes(_root(tmp_path, "0::/\n", _v2("", str(_GIB), 2 * _GIB))) == 0


def test_a_kernel_without_the_figure_is_an_error(tmp_path: Path) -> None:
    root = _root(tmp_path, "0::/\n", {"proc/meminfo": "MemTotal: 1 kB\n"})
    with pytest.raises(OSError, match="no line MemAvailable"):
        free_host_bytes(root)


def test_this_machine_has_some() -> None:
    assert free_host_bytes() > 0
