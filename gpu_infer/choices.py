"""The closed vocabularies of settings, command line and configuration.

A module of its own, because the command line must not import pydantic before a command runs.
"""

from __future__ import annotations

from typing import Literal

Control = Literal["auto", "grpc", "http"]
Data = Literal["auto", "cuda_shm", "system_shm", "inline"]
Require = Literal["cuda_shm", "system_shm", "inline"]
Device = Literal["auto", "cpu", "gpu"]
Mode = Literal["clara", "monai", "nnunet"]
PublishDialect = Literal["v1", "v2", "both"]

MOST_SLOTS = 256
"""Limit of requests in flight; each has its own thread and connection."""
