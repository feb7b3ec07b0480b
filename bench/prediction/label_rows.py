"""Rows of bench.kernels on labels."""

from __future__ import annotations

from math import prod

import numpy as np

from bench.prediction.geometry import GROUPS, UNDER_WAY, Geometry, Strided, count_tiles, lanes, row_blocks
from bench.prediction.rows import Launch, Part, Row
from bench.sass.hot_loops import HotLoop
from bench.sides.kernel_work import CLASSES, LABEL_TIMES
from bench.sides.kernel_work import read as samples_read
from gpu_infer.backends.gpu.packs import PACK, ROW
from gpu_infer.backends.gpu.pick import pick_walk
from gpu_infer.backends.gpu.tables import RESTORE_ARGMAX_TILES, interpolated_rows_and_columns, plan_walk

CHANNEL_SLICES = 4
"""As restore_argmax.cu's constant of that name."""

PICK_THREADS, WORD = 128, 4
"""As the constants of restore.cu: threads of a block with tiles, and bytes that one of them stages at once."""

COUNTED, VOXELS_PER_THREAD = 8 * PACK, 32
"""Labels of a thread in a histogram, and voxels of one in components_settle."""

ENDS_PER_PACK = 3.5
"""Turns of a warp over ends of runs per pack: bench.kernels' labels change every 24 voxels, and of its 512 labels some
lane has an end in nearly every word."""

UNDER_LABELS = (
    ("values under labels, int16", "label_values_u1_i2", 2, 1),
    ("sums under labels, float32", "label_sums_u1_f4", 4, 6),
    ("digits under labels, float32", "label_digits_u1_f4", 4, 1),
)
"""Row, kernel, bytes of a value, and atomics of a voxel: of bench.kernels' values, which are noise, some lane of a warp
adds to another place than before at every voxel."""

FACES, FACE_TURNS = 3, 5
"""Neighbours of lower index that share a face, and turns of the loop over lines of neighbours."""


def label_rows(g: Geometry) -> list[Row]:
    written, voxels = prod(g.shape), prod(g.grid)
    many = LABEL_TIMES * voxels
    read, scored = samples_read(g.labels_back()), samples_read(g.scores_back())
    return [
        Row("restore", read + written, read, written, 4 * WORD, (_pick(g),)),
        Row(
            "restore, scores to labels",
            4 * CLASSES * scored + written,
            4 * CLASSES * scored,
            written,
            16,
            (_restore_argmax(g),),
        ),
        Row(f"histogram of {LABEL_TIMES} grids", many, many, many, 4 * PACK, (_histogram(many),)),
        Row(f"lookup in {LABEL_TIMES} grids", 2 * many, many, many, 4 * PACK, _lookup(many)),
        Row(f"places of labels in {LABEL_TIMES} grids", many, many, many, UNDER_WAY, (_places(g),)),
        *(_under_labels(g, *each) for each in UNDER_LABELS),
        Row("largest components", 2 * voxels, voxels, voxels, 4, _components(voxels)),
    ]


def _pick(g: Geometry) -> Launch:
    """Rows of words along p are staged; a thread writes eight words of four labels along q per plane."""
    kernel = "pick_tile_u1_1"
    source, out = Strided.last_fastest(g.grid, np.uint8), Strided.first_fastest(g.shape, np.uint8)
    t = count_tiles(lambda device: pick_walk(source, out, g.labels_back(), device))
    warps = PICK_THREADS // 32
    planes = t.tiles * t.depth * warps
    turns = sum(_staging_turns(*plane) for plane in t.planes) * t.depth * warps
    words = t.walk.high * t.walk.tile // WORD // PICK_THREADS
    return Launch(
        kernel,
        t.blocks,
        (
            Part(HotLoop(kernel, r"STS\.32", WORD), turns * UNDER_WAY, (0, planes)),
            Part(HotLoop(kernel, r"STG\.32", WORD), planes * words),
        ),
        t.walk.shared_bytes,
        threads=PICK_THREADS,
    )


def _staging_turns(rows: int, columns: int) -> int:
    """Of one warp, over rows of words of which each thread has a place; UNDER_WAY rows per turn."""
    places = (rows + 2 * WORD - 2) // WORD
    at_once = max(1, PICK_THREADS // places)
    return -(-columns // (at_once * UNDER_WAY))


def _restore_argmax(g: Geometry) -> Launch:
    kernel = "restore_argmax_tile_u1"
    source, out = Strided.last_fastest(g.grid, np.float32, CLASSES), Strided.first_fastest(g.shape, np.uint8)
    t = count_tiles(
        lambda device: plan_walk(
            source,
            out,
            g.scores_back(),
            interpolated_rows_and_columns,
            device,
            tiles=RESTORE_ARGMAX_TILES,
            slices=CHANNEL_SLICES,
        )
    )
    two, one = (HotLoop(kernel, r"STS\.32", 4, loads=n) for n in (2, 1))
    planes, between, rest = t.tiles * GROUPS, CLASSES * t.between, CLASSES * (t.depth - t.between)
    per_thread = RESTORE_ARGMAX_TILES[0][0] * RESTORE_ARGMAX_TILES[0][1] // (32 * GROUPS)
    return Launch(
        kernel,
        t.blocks,
        (
            Part(two, t.columns * between, (0, 0, planes * between)),
            Part(one, t.columns * rest, (0, 0, planes * rest)),
            Part(HotLoop(kernel, r"STS\.128", 16), t.quads * t.depth * CLASSES, (0, 0, t.pairs * t.depth * CLASSES)),
            Part(HotLoop(kernel, "barrier"), 2 * planes * t.depth * CLASSES),
            Part(HotLoop(kernel, r"STG\.8"), per_thread * planes * t.depth),
        ),
        t.walk.shared_bytes,
    )


def _histogram(labels: int) -> Launch:
    kernel, packs = "histogram_u1", labels / PACK / 32
    return Launch(
        kernel,
        -(-labels // (256 * COUNTED)),
        (
            Part(HotLoop(kernel, r"LDG\.128", PACK, through="LDG|atomic"), packs),
            Part(HotLoop(kernel, "atomic", through="atomic"), ENDS_PER_PACK * packs),
        ),
        through=r"LDG\.128",
    )


def _lookup(labels: int) -> tuple[Launch, ...]:
    """One line without gaps, cut into rows; the rest is another row."""
    kernel = "lookup_packs_u1"
    rows = labels // ROW if labels >= 2 * ROW else 0
    launches = []
    for number, size in ((rows, ROW), (1, labels - rows * ROW)):
        if number and size:
            part = Part(HotLoop(kernel, r"STG\.128", PACK), number * lanes(size // PACK))
            launches.append(Launch(kernel, row_blocks(1, number), (part,), through=r"LDG\.128"))
    return tuple(launches)


def _places(g: Geometry) -> Launch:
    """A thread reads a label of each of its rows at once; runs are long, so that the loop adds to no table."""
    x, y, z = g.grid
    kernel, blocks = "label_extents_u1", row_blocks(LABEL_TIMES * x, y)
    return Launch(kernel, blocks, (Part(HotLoop(kernel, r"LDG\.8", through="LDG"), LABEL_TIMES * x * y * lanes(z)),))


def _under_labels(g: Geometry, name: str, kernel: str, nbytes: int, atomics: int) -> Row:
    x, y, z = g.grid
    voxels = x * y * z
    part = Part(HotLoop(kernel, "atomic", through="atomic"), atomics * x * y * lanes(z))
    launch = Launch(kernel, row_blocks(x, y), (part,), through="LDG")
    read = (1 + nbytes) * voxels
    return Row(name, read, read, voxels, UNDER_WAY * (1 + nbytes), (launch,))


def _components(voxels: int) -> tuple[Launch, ...]:
    """Of large connected regions: every voxel is joined with three neighbours, in one attempt each."""
    warps, blocks = voxels / 32, -(-voxels // 256)
    attempt, settle = HotLoop("components_join_u1", "atomic"), HotLoop("components_settle_u1", r"LDG\.8")
    return (
        Launch("components_start", blocks),
        Launch("components_join_u1", blocks, (Part(attempt, FACES * warps, (FACE_TURNS * warps,)),)),
        Launch("components_settle_u1", -(-blocks // VOXELS_PER_THREAD), (Part(settle, warps),)),
        Launch("components_rank_u1", blocks, early=True),
        Launch("components_choose_u1", blocks),
    )
