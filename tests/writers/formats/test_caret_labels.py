"""Names of labels in the extension of a NIfTI header."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from pathlib import Path

import nibabel as nib
import numpy as np
import SimpleITK as sitk

from gpu_infer.label_table.table import Label, LabelTable
from gpu_infer.volume.geometry import Geometry
from gpu_infer.volume.read import read_volume
from gpu_infer.writers.formats.caret_labels import caret_labels
from gpu_infer.writers.label_maps import LabelMap, write_label_maps

NAMES = {0: "background", 1: "lung <left> & ]]>", 2: "Übung", 999: "not in uint8"}
TABLE = LabelTable({value: Label(value, name, (255, 51, 0)) for value, name in NAMES.items()})
LABELS = np.arange(24, dtype=np.uint8).reshape(4, 3, 2)


def test_names_are_read_from_the_first_extension_as_totalsegmentator_does(tmp_path: Path) -> None:
    maps = {"model": LabelMap(LABELS, "uint8", ("nii.gz", "nii"))}
    files = write_label_maps(maps, Geometry((4, 3, 2), np.eye(4)), tmp_path, "ct", table=TABLE)["model"]
    for paths in files.values():
        image = nib.load(paths[0])
        np.testing.assert_array_equal(np.asarray(image.dataobj), LABELS)
        np.testing.assert_array_equal(sitk.GetArrayFromImage(sitk.ReadImage(paths[0])).T, LABELS)
        np.testing.assert_array_equal(read_volume(paths[0]).data[0], LABELS)
        (extension,) = image.header.extensions
        assert extension.get_code() == 0
        table = ET.fromstring(extension.get_content()).find("VolumeInformation/LabelTable")
        assert table is not None
        assert {int(label.get("Key", "")): label.text for label in table} == {0: NAMES[0], 1: NAMES[1], 2: NAMES[2]}
        assert [label.get("Alpha") for label in table] == ["0", "1", "1"]
        assert table[1].attrib == {"Key": "1", "Red": "1.000000", "Green": "0.200000", "Blue": "0.000000", "Alpha": "1"}


def test_without_names_there_is_no_extension(tmp_path: Path) -> None:
    maps = {"model": LabelMap(LABELS, "uint8", ("nii",))}
    write_label_maps(maps, Geometry((4, 3, 2), np.eye(4)), tmp_path, "ct")
    assert (tmp_path / "ct.nii").stat().st_size == 352 + 24
    assert len(nib.load(tmp_path / "ct.nii").header.extensions) == 0


def test_the_size_of_an_extension_is_a_multiple_of_16_without_nul() -> None:
    for length in range(40):
        text = caret_labels([Label(1, "x" * length, (0, 0, 0))])
        assert (len(text) + 8) % 16 == 0
        assert b"\0" not in text
