"""What both backends share: the public operations with their checks, and the types that custom transforms import."""

from gpu_infer.backends.base.backend import Backend
from gpu_infer.backends.types import Array, Moments, OccupiedPlanes, RollingSums, Start, Tables

__all__ = ["Array", "Backend", "Moments", "OccupiedPlanes", "RollingSums", "Start", "Tables"]
