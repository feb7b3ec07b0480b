"""Two arrays as lines without gaps and with one alignment, which a kernel reads and writes 16 bytes at a time."""

from __future__ import annotations

from dataclasses import dataclass

from gpu_infer.backends.layout import output, pointer, steps
from gpu_infer.backends.types import DeviceArray

PACK = 16
"""Elements that a lane takes at once, and bytes to which a pack is aligned: as in common.cuh."""

SHORTEST = 256
"""Elements of a line below which a warp has too few packs: its lanes then take one element each."""

ROW = 1024
"""Elements of the rows into which a longer line is cut: a warp takes four rows at once."""


@dataclass(frozen=True)
class Line:
    """`size` elements with steps of `read` elements in the source and `written` in the output."""

    size: int
    read: int
    written: int


@dataclass(frozen=True)
class PackedLines:
    """One launch: four axes, the last without gaps, and the offsets of its first elements from [0, 0, …]."""

    size: tuple[int, ...]
    source_strides: tuple[int, ...]
    out_strides: tuple[int, ...]
    source_offset: int
    out_offset: int


def packed_lines(source: DeviceArray, out: DeviceArray) -> list[PackedLines]:
    """Launches that together cover [C, X, Y, Z] of both arrays; none if their memory layouts differ.

    The output has elements of one byte. It is written upwards: the work per voxel depends on no direction.
    """
    lines, source_offset, out_offset = _lines(source, out)
    fastest = lines[-1]
    begin_source = pointer(source) // source.dtype.itemsize + source_offset
    begin_out = output(out) + out_offset
    if (
        (fastest.read, fastest.written) != (1, 1)
        or (len(lines) > 1 and fastest.size < SHORTEST)
        or any(line.read % PACK or line.written % PACK for line in lines[:-1])
        or (begin_source - begin_out) % (PACK // source.dtype.itemsize)
    ):
        return []
    rows = fastest.size // ROW
    if rows < 2 or len(lines) == 4:
        return [_launch(lines, source_offset, out_offset)]
    first = [*lines[:-1], Line(rows, ROW, ROW), Line(ROW, 1, 1)]
    rest = [*lines[:-1], Line(fastest.size % ROW, 1, 1)]
    launches = [_launch(first, source_offset, out_offset)]
    if rest[-1].size:
        launches.append(_launch(rest, source_offset + rows * ROW, out_offset + rows * ROW))
    return launches


def _launch(lines: list[Line], source_offset: int, out_offset: int) -> PackedLines:
    padded = [Line(1, 0, 0)] * (4 - len(lines)) + lines
    return PackedLines(
        tuple(line.size for line in padded),
        tuple(line.read for line in padded),
        tuple(line.written for line in padded),
        source_offset,
        out_offset,
    )


def _lines(source: DeviceArray, out: DeviceArray) -> tuple[list[Line], int, int]:
    """Axes of more than one element, upwards in the output, its fastest last, and the offsets of the first elements.

    Axes that are contiguous with the next one in both arrays are merged.
    """
    source_offset = out_offset = 0
    axes = []
    for size, read, written in zip(out.shape, steps(source), steps(out), strict=True):
        if size == 1:
            continue
        if written < 0:
            source_offset += (size - 1) * read
            out_offset += (size - 1) * written
            read, written = -read, -written
        axes.append(Line(size, read, written))
    lines: list[Line] = []
    for line in sorted(axes, key=lambda axis: -axis.written):
        before = lines[-1] if lines else None
        if before and before.read == line.read * line.size and before.written == line.written * line.size:
            lines[-1] = Line(before.size * line.size, line.read, line.written)
        else:
            lines.append(line)
    return lines or [Line(1, 1, 1)], source_offset, out_offset
