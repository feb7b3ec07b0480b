"""What both twins share: the public operations, their checks, and the types that custom code may import."""

from gpu_infer.backends.base.backend import (
    Array,
    Backend,
    Moments,
    OccupiedPlanes,
    RollingSums,
    Start,
    Tables,
)

__all__ = ["Array", "Backend", "Moments", "OccupiedPlanes", "RollingSums", "Start", "Tables"]
