"""The settings of `gpu-infer doctor`: those of the run, as far as they can be used."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator, Mapping
from typing import TYPE_CHECKING

from gpu_infer.cli.command_settings import settings_of
from gpu_infer.errors import ConfigError

if TYPE_CHECKING:
    import typer

    from gpu_infer.doctor.check import Check
    from gpu_infer.settings import Settings


def settings_for_checks(context: typer.Context) -> tuple[Settings | None, list[Check]]:
    """The settings of the run without those that a run refuses, and a failed check for each of them.

    The check has the name of the folder, or is called "settings". The settings are None if an error has another cause
    than one option or one variable. Variables of Numba have no check here: that of the kernels reports them.
    """
    from gpu_infer.backends.cpu.numba_variables import NUMBA_VARIABLES
    from gpu_infer.doctor.check import failure
    from gpu_infer.settings_sources import FOLDER_VARIABLES

    refusals: list[Check] = []
    without: Collection[str] = ()
    environ: Mapping[str, str] = os.environ
    while (error := _error(context, without, environ)) is not None:
        for name, fewer, rest in _with_one_less(context, without, environ, error):
            if str(_error(context, fewer, rest)) != str(error):
                without, environ = fewer, rest
                if name not in NUMBA_VARIABLES:
                    refusals.append(failure(name if name in FOLDER_VARIABLES else "settings", error))
                break
        else:
            return None, [*refusals, failure("settings", error)]
    return settings_of(context, without=without, environ=environ), refusals


def _with_one_less(
    context: typer.Context, without: Collection[str], environ: Mapping[str, str], error: ConfigError
) -> Iterator[tuple[str, Collection[str], Mapping[str, str]]]:
    """Name, options that do not count, and environment: without each option, and without each variable.

    The option with which the error's message begins comes first.
    """
    from gpu_infer.backends.cpu.numba_variables import NUMBA_VARIABLES
    from gpu_infer.settings_sources import FOLDER_VARIABLES

    words = str(error).replace(":", " ").split()
    given = [name for name, value in context.params.items() if value is not None and name not in without]
    for name in sorted(given, key=lambda name: words[0] != f"--{name.replace('_', '-')}"):
        yield name, {*without, name}, environ
    for name, variable in (FOLDER_VARIABLES | {name: name for name in NUMBA_VARIABLES}).items():
        yield name, without, {key: value for key, value in environ.items() if key != variable}


def _error(context: typer.Context, without: Collection[str], environ: Mapping[str, str]) -> ConfigError | None:
    """Why a run refuses the settings; None if it does not."""
    try:
        settings_of(context, without=without, environ=environ)
    except ConfigError as error:
        return error
    return None
