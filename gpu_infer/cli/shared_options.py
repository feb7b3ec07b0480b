"""A command with all options of another command."""

from __future__ import annotations

from collections.abc import Callable
from inspect import Parameter, Signature, signature
from typing import Any, TypeVar, get_type_hints

Command = TypeVar("Command", bound=Callable[..., None])


def with_options_of(other: Callable[..., Any]) -> Callable[[Command], Command]:
    """Decorate a command `f(context, own options, **options)`, so that typer sees the options of `other` as well.

    An option that both have is the command's own.
    """

    def extend(command: Command) -> Command:
        hints = get_type_hints(other, include_extras=True) | get_type_hints(command, include_extras=True)
        own = [each for each in signature(command).parameters.values() if each.kind is not Parameter.VAR_KEYWORD]
        names = {each.name for each in own}
        parameters = own + [each for each in signature(other).parameters.values() if each.name not in names]
        annotated = [each.replace(annotation=hints[each.name]) for each in parameters]
        command.__annotations__ = {each.name: each.annotation for each in annotated}
        command.__signature__ = Signature(annotated)  # type: ignore[attr-defined]
        return command

    return extend
