"""The closed vocabularies that settings and command line share."""

from __future__ import annotations

from typing import Literal

Control = Literal["auto", "grpc", "http"]
Data = Literal["auto", "cuda_shm", "system_shm", "inline"]
Require = Literal["cuda_shm", "system_shm", "inline"]
Device = Literal["auto", "cpu", "gpu"]
Mode = Literal["clara", "monai", "nnunet"]
PublishDialect = Literal["v1", "v2", "both"]

MOST_SLOTS = 256
"""Requests in flight; each has a thread and a connection of its own."""
