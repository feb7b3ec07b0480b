"""Which kernels run on several threads, and the lock of those that do. Needs no Numba."""

from __future__ import annotations

import threading

LAUNCH = threading.Lock()
"""Held while a parallel kernel runs: not all of Numba's threading layers allow two threads to start one at once."""

FEW = 1 << 16
"""Voxels up to which a kernel that touches each once runs on the calling thread. On two idle cores, threads would save
a quarter of the time at 32³ voxels; on cores that other programs use, they wait for each other and take ten times as
long. From 64³ voxels on, threads save more on idle cores."""
