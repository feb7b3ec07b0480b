"""Components of Clara Train that gpu_infer does not have, with the reason and the remedy."""

from __future__ import annotations

import re

_COLOUR = ("2-D colour images are not supported, volumes are", "use a configuration for volumes")
_POINTS = (
    "needs points that a user sets in a viewer, which a run does not have",
    "use a configuration for segmentation without points",
)

_REASONS = (
    (re.compile(r"(Load|Write)(Png|Jpe?g|Image)s?|(Png|Jpe?g)(Reader|Writer)"), _COLOUR),
    (
        re.compile(
            r"(Add|Crop).*(ExtremePoint|Guidance|Click)\w*|(Add|Resize|Restore).*(Guidance|Deepgrow)\w*|Fetch2DSlice"
        ),
        _POINTS,
    ),
)


def missing_reason(name: str) -> tuple[str, str] | None:
    """Why there is no component of this name, and what to do; None if the name is unknown."""
    return next((reason for pattern, reason in _REASONS if pattern.fullmatch(name)), None)
