"""What the base classes of transforms, custom inferers and custom writers have in common."""

from __future__ import annotations

from abc import ABC
from typing import Any, ClassVar

from gpu_infer.transforms.arguments import Arguments


class ConfiguredComponent(ABC):
    """A component with arguments and a place in the configuration.

    Args:
        arguments: By name, as `Args` declares them.

    Raises:
        pydantic.ValidationError: An argument is wrong or unknown.
    """

    name: ClassVar[str]
    Args: ClassVar[type[Arguments]] = Arguments

    def __init__(self, **arguments: Any) -> None:
        self.args: Any = self.Args(**arguments)
        self.where = ""
        """Its key in the configuration ("pre_transforms[2]", "inferer"), for errors; the builder sets it."""

    @property
    def label(self) -> str:
        """Name for plans and messages."""
        return getattr(self, "name", type(self).__name__)

    @property
    def place(self) -> str:
        """Key and name, as errors begin."""
        return f"{self.where}: {self.label}" if self.where else self.label
