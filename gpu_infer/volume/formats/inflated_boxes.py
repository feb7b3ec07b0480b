"""Boxes of a compressed file: it is inflated once, from its beginning, and the last slices wait in memory."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np

from gpu_infer.volume.boxes import BoxReader
from gpu_infer.volume.checks import DType, Voxels
from gpu_infer.volume.files import file_status
from gpu_infer.volume.formats.spans import fill_inflated
from gpu_infer.volume.geometry import Shape3

PIPE = 3 * (4 << 20)
"""Bytes of inflated blocks in work: one is made, one waits, one is copied."""

_WAIT_S = 0.1


class InflatedBoxes(BoxReader):
    """The voxels of `stored` dtype from inflated byte `offset` on, of the stream at byte `start` of the file.

    slices  most slices of a box. The last ones that were read wait in memory; for an earlier one, the file is inflated
            again from its beginning
    """

    def __init__(self, path: Path, start: int, offset: int, stored: DType, shape: Shape3, slices: int) -> None:
        super().__init__(path, shape, stored.newbyteorder("="))
        self._start, self._offset, self._stored = start, offset, stored
        self._planes = np.empty((min(slices, shape[2]), shape[1], shape[0]), stored)
        self._next = 0  # slice
        self._stream = self._open_stream()

    @property
    def _nbytes(self) -> int:
        i, j, k = self.shape
        return i * j * k * self._stored.itemsize

    def _read(self, j: slice, k: slice) -> Voxels:
        if k.start < self._next - len(self._planes):
            self._stream.close()
            self._next, self._stream = 0, self._open_stream()
        while self._next < k.stop:
            plane = self._planes[self._next % len(self._planes)]
            self._stream.fill(plane.reshape(-1).view(np.uint8).data)
            self._next += 1
        return np.stack([self._planes[n % len(self._planes), j] for n in range(k.start, k.stop)])

    def _open_stream(self) -> _Stream:
        return _Stream(self._path, self._start, self._offset, self._nbytes, self._check_path)

    def _check_path(self) -> None:
        """Raise `InputError` if another file has the name now."""
        self._check_state(file_status(self._path))

    def _finish(self) -> list[str]:
        """Inflate what follows, so that the check sum is verified; warnings about ignored bytes."""
        return self._stream.finish()

    def close(self) -> None:
        self._stream.close()
        super().close()


class _Stream:
    """Inflated voxels in order; a thread is a few blocks ahead. It fails as `fill_inflated` does.

    check  is called before and after the file is opened by its name; it may raise
    """

    def __init__(self, path: Path, start: int, offset: int, nbytes: int, check: Callable[[], None]) -> None:
        self._nbytes, self._notes, self._check = nbytes, list[str](), check
        self._blocks: queue.Queue[memoryview | BaseException | None] = queue.Queue(1)
        self._block = memoryview(b"")
        self._cancelled = threading.Event()
        self._thread = threading.Thread(target=self._inflate, args=(path, start, offset), daemon=True, name="inflate")
        self._thread.start()

    def fill(self, target: memoryview) -> None:
        """Write the next bytes."""
        done = 0
        while done < len(target):
            if not self._block:
                self._block = self._take() or memoryview(b"")
                if not self._block:
                    raise AssertionError("a stream that ends early has raised an error")
            count = min(len(self._block), len(target) - done)
            target[done : done + count] = self._block[:count]
            self._block = self._block[count:]
            done += count

    def finish(self) -> list[str]:
        """Drop what remains; the warnings."""
        while self._take() is not None:
            pass
        return self._notes

    def close(self) -> None:
        """End the thread."""
        self._cancelled.set()
        self._thread.join()

    def _take(self) -> memoryview | None:
        block = self._blocks.get()
        if isinstance(block, BaseException):
            raise block
        return block

    # -- in the thread ------------------------------------------------------------------------------------------
    def _inflate(self, path: Path, start: int, offset: int) -> None:
        end: BaseException | None = None
        try:
            self._check()
            fill_inflated(path, offset, _Target(self), start=start, notes=self._notes)
        except BaseException as error:
            end = error
        if not self._cancelled.is_set():
            self._put(end)

    def _put(self, block: memoryview | BaseException | None) -> None:
        while True:
            try:
                self._blocks.put(block, timeout=_WAIT_S)
            except queue.Full:
                if self._cancelled.is_set():
                    return
            else:
                return


class _Target:
    """What `fill_inflated` writes to, in order, in place of an array: blocks go to the reader."""

    def __init__(self, stream: _Stream) -> None:
        self._stream, self._is_checked = stream, False

    @property
    def data(self) -> _Target:
        return self

    def __len__(self) -> int:
        return self._stream._nbytes

    def __setitem__(self, place: slice, block: memoryview) -> None:
        if self._stream._cancelled.is_set():
            raise _CancelledError
        if not self._is_checked:
            self._stream._check()
            self._is_checked = True
        self._stream._put(block)


class _CancelledError(Exception):
    """The reader is closed."""
