"""What the GPU backend did; the report prints it, and it proves that voxels crossed the bus twice."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass
class Counters:
    """Since the backend was made.

    bytes_up, bytes_down            voxels of `upload` and `download`: the stored volume, the labels
    tile_bytes_up, tile_bytes_down  windows in slots of host memory, which only exist without CUDA shared memory
    table_bytes                     tables up, counts down: what a kernel needs beside voxels
    launches                        kernels started
    """

    bytes_up: int = 0
    bytes_down: int = 0
    tile_bytes_up: int = 0
    tile_bytes_down: int = 0
    table_bytes: int = 0
    launches: int = 0
