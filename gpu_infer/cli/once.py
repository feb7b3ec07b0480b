"""Commands that refuse an option which is given twice."""

from __future__ import annotations

from typing import Any

import typer
from typer.core import TyperCommand

UsageError: Any = typer.BadParameter.__mro__[1]
"""Click's class of usage errors. Newer typers contain click under another name; this way to it is public in all."""


class OnceCommand(TyperCommand):
    """A command that takes every option once, unless the option is a list or a plain switch.

    Of a repeated option, Click takes the last value in silence. Usage errors of the parser name the command too.
    """

    def make_parser(self, ctx: Any) -> Any:
        parser: Any = super().make_parser(ctx)
        parse = parser.parse_args

        def parse_once(args: list[str]) -> Any:
            try:
                values, rest, order = parse(args)
            except UsageError as error:
                if error.ctx is None:
                    error.ctx = ctx
                raise
            for number, parameter in enumerate(order):
                if parameter in order[:number] and _is_refused(parameter):
                    name = ", ".join([*parameter.opts, *parameter.secondary_opts])
                    raise UsageError(f"{name}: found more than once, expected at most once", ctx)
            return values, rest, order

        parser.parse_args = parse_once
        return parser


def _is_refused(parameter: Any) -> bool:
    """Whether a second occurrence of a parameter can contradict the first one."""
    if parameter.param_type_name != "option" or parameter.multiple:
        return False
    return bool(parameter.secondary_opts) or not parameter.is_flag
