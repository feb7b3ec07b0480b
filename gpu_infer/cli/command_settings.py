"""The settings of a command, from its options and the environment."""

from __future__ import annotations

import os
from collections.abc import Collection
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import typer

    from gpu_infer.settings import Settings

_NO_SETTINGS = ("json", "verbose", "quiet", "debug", "clean")
"""Options of commands that are not part of `Settings`."""


def settings_of(context: typer.Context, *, without: Collection[str] = ()) -> Settings:
    """The settings of the environment, overridden by the options that the command was given.

    Args:
        context: the command's, which has every option by the name of its parameter.
        without: names of further options that the command uses itself.
    """
    from gpu_infer.settings import OPTION_FIELDS, Settings

    options = {name: value for name, value in context.params.items() if name not in (*_NO_SETTINGS, *without)}
    return Settings.from_environment(
        os.environ, **{OPTION_FIELDS.get(name, name): value for name, value in options.items()}
    )
