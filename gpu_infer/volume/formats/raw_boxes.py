"""Boxes of a file whose voxels are not compressed: every row is read from its place."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

from gpu_infer.volume.boxes import BoxReader
from gpu_infer.volume.checks import DType, Voxels
from gpu_infer.volume.files import unreadable
from gpu_infer.volume.formats.spans import truncation_error
from gpu_infer.volume.geometry import Shape3


class RawBoxes(BoxReader):
    """The voxels of `stored` dtype from byte `offset` of the file on, first axis fastest."""

    def __init__(self, path: Path, offset: int, stored: DType, shape: Shape3) -> None:
        super().__init__(path, shape, stored.newbyteorder("="))
        self._offset, self._stored = offset, stored

    def _read(self, j: slice, k: slice) -> Voxels:
        rows = self.shape[1]
        out = np.empty((k.stop - k.start, j.stop - j.start, self.shape[0]), self._stored)
        size = self._stored.itemsize * self.shape[0]
        for n, plane in enumerate(out):
            self._fill(plane.reshape(-1).view(np.uint8).data, ((k.start + n) * rows + j.start) * size)
        return out

    def _fill(self, target: memoryview, position: int) -> None:
        done = 0
        try:
            while done < len(target):
                count = os.preadv(self._file.fileno(), [target[done:]], self._offset + position + done)
                if not count:
                    i, j, k = self.shape
                    raise truncation_error(self._path, position + done, i * j * k * self._stored.itemsize)
                done += count
        except OSError as error:
            raise unreadable(self._path, error) from None
