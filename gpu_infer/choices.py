"""The values that settings, options and keys of the configuration can have, if there are only a few.

A module of its own, because the command line must not import pydantic before a command runs.
"""

from __future__ import annotations

from typing import Literal

Protocol = Literal["grpc", "http"]
Control = Literal["auto", Protocol]
Require = Literal["cuda_shm", "system_shm", "inline"]
Data = Literal["auto", Require]
Device = Literal["auto", "cpu", "gpu"]
Mode = Literal["clara", "monai", "nnunet"]
ScoresFormat = Literal["nii.gz", "nrrd"]
ScoresDtype = Literal["uint8", "float32"]
ScoresActivation = Literal["softmax", "sigmoid", "none"]
PublishDialect = Literal["v1", "v2", "both"]
Format = Literal["mhd", "mha", "nii.gz", "nii", "nrrd", "seg.nrrd"]

DEFAULT_FORMAT: Format = "mhd"
"""Format of label maps if neither an option nor the configuration names one: what the container has always written."""
Tilt = Literal["refuse", "index"]
DicomSeg = Literal["auto", "binary", "labelmap"]

MOST_BINARY = 16
"""Labels up to which `--dicom-seg auto` writes BINARY, which more programs read: each has frames of its own."""

MOST_SLOTS = 256
"""Limit of requests in flight; each has its own thread and connection."""
