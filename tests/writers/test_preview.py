"""The preview: planes, orientation, proportions, limits of grey and colours, read back pixel by pixel."""

from __future__ import annotations

import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import SimpleITK as sitk

from gpu_infer.errors import ConfigError
from gpu_infer.label_table.palette import palette_colour
from gpu_infer.label_table.table import Label, LabelTable
from gpu_infer.volume.geometry import Geometry
from gpu_infer.volume.volume import Volume
from gpu_infer.writers.page_text import CAPTION_ROWS, GAP, TITLE_ROWS
from gpu_infer.writers.preview import write_preview


def hounsfield(share: Any) -> Any:
    """HU that are drawn with this share of white: CT is black at −1200 and white at 400."""
    return (np.asarray(share) * 1600 - 1200).astype(np.float32)


def volume(data: Any, affine: Any = None, slope: float = 1.0, inter: float = 0.0) -> Volume:
    data = np.asarray(data)
    geometry = Geometry(data.shape, np.eye(4) if affine is None else np.asarray(affine, float))
    return Volume(data[None], geometry, Path("case.nii.gz"), "nifti", slope, inter)


def read(path: Path) -> Any:
    """[rows, columns, 3] of a PNG."""
    return sitk.GetArrayFromImage(sitk.ReadImage(str(path))).astype(int)


def panels(page: Any, sizes: list[tuple[int, int]]) -> list[Any]:
    """Panels of known [rows, columns] out of a page, by the layout: below the title, centred in height."""
    result, left_edge = [], GAP
    height = max(rows for rows, _ in sizes)
    for rows, columns in sizes:
        top = TITLE_ROWS + (height - rows) // 2
        result.append(page[top : top + rows, left_edge : left_edge + columns])
        left_edge += columns + GAP
    assert page.shape[1] == max(left_edge, 480)
    return result


def test_radiological_convention_and_proportions(tmp_path: Path) -> None:
    """One bright octant per plane shows where right, anterior and superior are; voxels are 1×2×4 mm."""
    n = (40, 30, 10)  # 40 mm × 60 mm × 40 mm
    data = np.zeros(n)
    data[20:, 15:, 5:] = 1  # right, anterior, superior in RAS+
    case = volume(hounsfield(data), np.diag([1, 2, 4, 1]))
    path = write_preview(case, np.zeros(n, np.uint8), tmp_path / "p.png")
    axial, coronal, sagittal = panels(read(path), [(480, 320), (320, 320), (320, 480)])
    for panel in (axial, coronal, sagittal):  # right or anterior is left, anterior or superior is on top
        rows, columns, _ = panel.shape
        quarter = [panel[r, c, 0] for r in (rows // 4, 3 * rows // 4) for c in (columns // 4, 3 * columns // 4)]
        assert quarter == [255, 0, 0, 0]


def noise_and_labels() -> tuple[Any, Any]:
    image = hounsfield(np.random.default_rng(3).uniform(size=(8, 9, 7)))
    labels = np.zeros(image.shape, np.uint8)
    labels[2:6, 3:7, 2:5] = 1
    labels[4, 4, 3] = 2
    return image, labels


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The page of noise_and_labels stored as they are."""
    image, labels = noise_and_labels()
    path = tmp_path_factory.mktemp("plain") / "a.png"
    return read(write_preview(volume(image, np.diag([1, 1.5, 2, 1])), labels, path))


@pytest.mark.parametrize("axes", [(0, 1, 2), (2, 0, 1), (1, 2, 0)])
@pytest.mark.parametrize("flips", [(False, False, False), (True, False, True), (True, True, True)])
def test_storage_order_is_not_visible(
    tmp_path: Path, plain: Any, axes: tuple[int, ...], flips: tuple[bool, ...]
) -> None:
    image, labels = noise_and_labels()
    affine = np.diag([1, 1.5, 2, 1.0])
    for axis, flip in enumerate(flips):
        if flip:
            image, labels = np.flip(image, axis), np.flip(labels, axis)
            affine[:3, 3] += affine[:3, axis] * (image.shape[axis] - 1)
            affine[:3, axis] *= -1
    affine = affine[:, [*axes, 3]]
    turned = volume(image.transpose(axes), affine)
    result = read(write_preview(turned, labels.transpose(axes), tmp_path / "b.png"))
    np.testing.assert_array_equal(result, plain)


def test_planes_go_through_the_labels(tmp_path: Path) -> None:
    """Values are slice numbers, so grey shows which slice was drawn."""
    n = 21
    labels = np.zeros((n, n, n), np.uint8)
    labels[4:7, 8:11, 14:17] = 3
    slices = hounsfield(np.indices((n, n, n)) / n)
    for axis, centre in enumerate((5, 9, 15)):
        page = read(write_preview(volume(slices[axis]), labels, tmp_path / "p.png"))
        panel = panels(page, [(480, 480)] * 3)[2 - axis]
        assert panel[100, 60, 0] == round(centre / n * 255)
        empty = read(write_preview(volume(slices[axis]), 0 * labels, tmp_path / "p.png"))
        assert panels(empty, [(480, 480)] * 3)[2 - axis][100, 60, 0] == round(10 / n * 255)


def test_between_two_lungs_the_fuller_slice_is_shown(tmp_path: Path) -> None:
    labels = np.zeros((21, 21, 21), np.uint8)
    labels[2:6, 5:15, 5:15] = 1
    labels[16:20, 5:15, 5:15] = 1
    labels[3, 4, 5] = 1  # slice 3 of the first axis is now the fullest; the centre, 10 or 11, is empty
    grey = hounsfield(np.indices(labels.shape)[0] / 21)
    page = read(write_preview(volume(grey), labels, tmp_path / "p.png"))
    assert panels(page, [(480, 480)] * 3)[2][40, 60, 0] == round(3 / 21 * 255)


def test_false_labels_at_the_rim_are_not_the_fullest_slice(tmp_path: Path) -> None:
    labels = np.zeros((21, 21, 21), np.uint8)
    labels[2:6, 5:15, 5:15] = 1
    labels[16:20, 5:15, 5:15] = 1
    labels[3, 4, 5] = 1
    labels[0, :16, :16] = 1  # 256 of 1057 voxels, more than twice those of any slice of a lung
    grey = hounsfield(np.indices(labels.shape)[0] / 21)
    page = read(write_preview(volume(grey), labels, tmp_path / "p.png"))
    assert panels(page, [(480, 480)] * 3)[2][40, 60, 0] == round(3 / 21 * 255)


def test_outlines_have_the_labels_colours(tmp_path: Path) -> None:
    labels = np.zeros((32, 32, 32), np.uint16)
    labels[8:16, 8:24, 8:24] = 1
    labels[16:24, 8:24, 8:24] = 300
    grey = np.full(labels.shape, 0.5)
    grey[:2, 0, 0] = 0, 1  # outside of the planes; with them the values look like CT
    axial = panels(read(write_preview(volume(hounsfield(grey)), labels, tmp_path / "p.png")), [(480, 480)] * 3)[0]
    first, other = np.array(palette_colour(1)), np.array(palette_colour(300))
    # Columns run from right to left, 15 pixels a voxel: label 300 lies left of column 240, label 1 right of it.
    np.testing.assert_array_equal(axial[200, 241], first)
    np.testing.assert_array_equal(axial[200, 238], other)
    np.testing.assert_array_equal(axial[200, 359], first)
    np.testing.assert_array_equal(axial[121, 300], first)
    np.testing.assert_allclose(axial[200, 300], (127.5 * 0.87 + first * 0.13).round(), atol=1)  # tinted inside
    np.testing.assert_array_equal(axial[200, 100], [128, 128, 128])  # untouched outside


def test_ct_and_other_images_get_their_window(tmp_path: Path) -> None:
    ct = np.full((12, 12, 12), -1000, np.int16)
    ct[:, :, 6:] = 200
    ct[:, :6, 6:] = -400
    page = read(write_preview(volume(ct), np.zeros(ct.shape, np.uint8), tmp_path / "p.png"))
    sagittal = panels(page, [(480, 480)] * 3)[2]
    assert sagittal[100, 100, 0] == round((200 + 1200) / 1600 * 255)
    assert sagittal[100, 400, 0] == round((-400 + 1200) / 1600 * 255)
    assert sagittal[400, 100, 0] == round((-1000 + 1200) / 1600 * 255)
    stored = ((ct + 1024) // 2).astype(np.uint16)  # the same through slope and inter
    same = read(write_preview(volume(stored, None, 2.0, -1024.0), np.zeros(ct.shape, np.uint8), tmp_path / "q.png"))
    np.testing.assert_array_equal(same, page)
    mr = np.tile(np.linspace(0, 1000, 100, dtype=np.float32), (20, 20, 1))
    panel = panels(
        read(write_preview(volume(mr), np.zeros(mr.shape, np.uint8), tmp_path / "r.png")),
        [(96, 96), (480, 96), (480, 96)],
    )
    low, high = np.percentile(mr, (1, 99))
    assert panel[1][0, 5, 0] == 255
    assert panel[1][-1, 5, 0] == 0
    assert abs(panel[1][240, 5, 0] - (500 - low) / (high - low) * 255) < 2


def test_positions_are_those_of_the_planes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a grid whose axes run to the left, to the back and upwards: by hand."""
    captions: list[str] = []
    monkeypatch.setattr(
        "gpu_infer.writers.preview.draw_caption",
        lambda width, text: captions.append(text) or np.zeros((CAPTION_ROWS, width, 3), np.uint8),
    )
    labels = np.zeros((20, 20, 20), np.uint8)
    labels[4, 6, 15] = 1
    affine = np.diag([-2.0, -3.0, 4.0, 1.0])
    affine[:3, 3] = 10.0, 20.0, -100.0
    write_preview(volume(np.zeros(labels.shape), affine), labels, tmp_path / "p.png")
    assert captions == ["axial  I  40.0 mm", "coronal  A  2.0 mm", "sagittal  R  2.0 mm"]


def test_without_contours_the_same_planes_are_drawn(tmp_path: Path) -> None:
    image, labels = noise_and_labels()
    plain = read(write_preview(volume(image), labels, tmp_path / "p.png", contours=False, counts=[1, 2, 3]))
    with_contours = read(write_preview(volume(image), labels, tmp_path / "q.png"))
    assert plain.shape == with_contours.shape  # no legend
    differs = (plain != with_contours).any(axis=2)
    assert 0.1 < differs.mean() < 0.6
    grey = plain[TITLE_ROWS : TITLE_ROWS + 480]
    assert (grey.max(axis=2) == grey.min(axis=2)).all()


def test_the_legend_has_the_labels_that_occur_with_their_colours_and_volumes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    legends: list[Any] = []
    from gpu_infer.writers import preview

    draw = preview.draw_legend
    monkeypatch.setattr(preview, "draw_legend", lambda width, entries: legends.append(entries) or draw(width, entries))
    labels = np.zeros((10, 10, 10), np.uint8)
    table = LabelTable({2: Label(2, "spleen", (1, 2, 3))})
    case = volume(np.zeros(labels.shape), np.diag([1.0, 2.0, 5.0, 1.0]))
    write_preview(case, labels, tmp_path / "p.png", table=table, counts=[500, 0, 100, 400])
    entries = [(entry.name, entry.colour, round(entry.ml, 6)) for entry in legends[0]]
    assert entries == [("spleen", (1, 2, 3), 1.0), ("label 3", palette_colour(3), 4.0)]


def test_values_that_are_not_finite(tmp_path: Path) -> None:
    """NaN and −∞ are black, ∞ is white."""
    data = hounsfield(np.tile(np.linspace(0, 1, 20), (20, 20, 1)))
    for part, value in enumerate((np.nan, -np.inf, np.inf)):
        data[:, 5 * part : 5 * part + 5] = value
    page = read(write_preview(volume(data), np.zeros(data.shape, np.uint8), tmp_path / "p.png"))
    sagittal = panels(page, [(480, 480)] * 3)[2]  # anterior is left: columns run from j = 19 to 0
    assert [sagittal[200, 24 * j + 12, 0] for j in (17, 12, 7)] == [0, 0, 255]


@pytest.mark.parametrize("value", [0.0, 7.0, np.nan])
def test_flat_images_do_not_divide_by_zero(tmp_path: Path, value: float) -> None:
    data = np.full((4, 4, 4), value, np.float32)
    assert write_preview(volume(data), np.zeros(data.shape, np.uint8), tmp_path / "p.png").is_file()


def test_refusals(tmp_path: Path) -> None:
    data, labels = np.zeros((4, 4, 4), np.float32), np.zeros((4, 4, 4), np.uint8)
    with pytest.raises(ConfigError, match=r"ends in \.png"):
        write_preview(volume(data), labels, tmp_path / "p.jpg")
    with pytest.raises(ConfigError, match="cannot be written"):
        write_preview(volume(data), labels, tmp_path / "missing" / "p.png")
    with pytest.raises(ValueError, match="for a grid of shape"):
        write_preview(volume(data), labels[1:], tmp_path / "p.png")
    assert not list(tmp_path.iterdir())


def test_a_preview_of_ours_is_replaced_and_no_other(tmp_path: Path) -> None:
    """The mark is a text chunk, which a reader of PNG ignores or shows."""
    path = tmp_path / "a.preview.png"
    case = volume(np.zeros((5, 4, 3)))
    write_preview(case, np.zeros((5, 4, 3), np.uint8), path)
    first = path.read_bytes()
    assert first[33:63] == b"\0\0\0\x12tEXtSoftware\0gpu_infer" + zlib.crc32(b"tEXtSoftware\0gpu_infer").to_bytes(4)
    write_preview(case, np.ones((5, 4, 3), np.uint8), path)
    assert path.read_bytes() != first
    sitk.WriteImage(sitk.Image([4, 4], sitk.sitkVectorUInt8, 3), path)
    before = path.read_bytes()
    with pytest.raises(ConfigError, match=r"preview\.png: found a file of another program, expected none or a preview"):
        write_preview(case, np.zeros((5, 4, 3), np.uint8), path)
    assert path.read_bytes() == before
