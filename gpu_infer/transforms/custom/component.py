"""What the base classes of custom inferers and writers have in common with that of transforms."""

from __future__ import annotations

from abc import ABC
from typing import Any, ClassVar

from gpu_infer.transforms.arguments import Arguments


class CustomComponent(ABC):
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
        """The component's key in the configuration ("inferer"), for errors; the builder sets it."""

    @property
    def label(self) -> str:
        """Name for plans and messages."""
        return getattr(self, "name", type(self).__name__)

    @property
    def place(self) -> str:
        """Key and name, as errors begin."""
        return f"{self.where}: {self.label}" if self.where else self.label
