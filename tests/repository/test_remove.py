"""Removal of entries: what `models add` wrote, and nothing outside the entry."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from gpu_infer.errors import ConfigError, ResourceError
from gpu_infer.repository.add import add_torchscript
from gpu_infer.repository.entry import CONFIG, MARK
from gpu_infer.repository.remove import remove_entry


@pytest.mark.parametrize("outside", ["../../precious.txt", "1/../../../precious.txt", "absolute"])
def test_a_list_that_names_files_outside_the_entry_deletes_nothing(tmp_path: Path, outside: str) -> None:
    precious = tmp_path / "precious.txt"
    precious.write_text("data")
    (tmp_path / "models" / "net" / "1").mkdir(parents=True)
    listed = str(precious) if outside == "absolute" else outside
    (tmp_path / "models" / "net" / CONFIG).write_text(f"{MARK}{json.dumps([listed])}\n")

    with pytest.raises(ConfigError, match=r"names a file outside the entry: .*precious\.txt"):
        remove_entry(tmp_path / "models", "net")

    assert precious.read_text() == "data"
    assert (tmp_path / "models" / "net" / CONFIG).is_file()


def test_an_entry_that_cannot_be_moved_stays_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: Path, target: object) -> None:
        raise PermissionError(13, "Permission denied")

    source = tmp_path / "net.pt"
    source.write_bytes(b"weights")
    add_torchscript(tmp_path / "models", "net", source, input_dims=[1, 8, 8, 8], output_dims=[2, 8, 8, 8])
    monkeypatch.setattr(Path, "rename", refuse)

    with pytest.raises(ResourceError, match="net cannot be removed: Permission denied"):
        remove_entry(tmp_path / "models", "net")

    assert (tmp_path / "models" / "net" / CONFIG).is_file()
    assert (tmp_path / "models" / "net" / "1" / "model.pt").read_bytes() == b"weights"
    assert sorted(path.name for path in (tmp_path / "models").iterdir()) == ["net"]
