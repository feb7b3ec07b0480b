"""What both twins share: the public operations, their checks, and the types that custom code may import."""

from gpu_infer.backends.base.backend import Backend

__all__ = ["Backend"]
