"""Arguments of a user's model: each kind of mistake is one line that names the argument and what it expects."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import pytest
from pydantic import BaseModel, ConfigDict, Field

from gpu_infer.config.arguments import build
from gpu_infer.config.location import Place
from gpu_infer.errors import ConfigError


class Arguments(BaseModel):
    """Plain types of pydantic, without validators of this package."""

    model_config = ConfigDict(extra="forbid")

    size: tuple[int, int] = (1, 1)
    share: float = Field(0.5, ge=0, le=1, description="a part from 0 to 1")
    side: Literal["left", "right"] = "left"
    count: Annotated[int, Field(le=9)] = 1
    flag: bool = False
    names: list[str] = []
    table: dict[str, int] = {}
    alias: str = Field("", alias="as")


def refusal(**arguments: Any) -> str:
    with pytest.raises(ConfigError) as caught:
        build(Arguments, Arguments, arguments, Place("c.json", "args"), "Own")
    return str(caught.value)


def test_null_is_not_given() -> None:
    built = build(Arguments, Arguments, {"side": None, "count": "3"}, Place("c.json", "args"), "Own")
    assert (built.side, built.count) == ("left", 3)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"side": "up"}, 'c.json: args.side: expected left or right, found "up"'),
        ({"count": 10}, "c.json: args.count: expected at most 9, found 10"),
        ({"count": "ten"}, 'c.json: args.count: expected a whole number, found "ten"'),
        ({"flag": "maybe"}, 'c.json: args.flag: expected true or false, found "maybe"'),
        ({"names": "a"}, 'c.json: args.names: expected a list, found "a"'),
        ({"names": ["a", 1]}, "c.json: args.names[1]: expected a string, found 1"),
        ({"table": [1]}, "c.json: args.table: expected an object {…}, found [1]"),
        ({"as": 3}, "c.json: args.as: expected a string, found 3"),
        ({"side": "\udcff"}, 'c.json: args.side: expected text in UTF-8, found "\\udcff"'),
        ({"size": [1, "x"]}, 'c.json: args.size[1]: expected a whole number, found "x"'),
        ({"share": "x"}, 'c.json: args.share: expected a part from 0 to 1, found "x"'),
        ({"share": 2}, "c.json: args.share: expected a part from 0 to 1, found 2"),
    ],
)
def test_one_mistake(arguments: dict[str, Any], message: str) -> None:
    assert refusal(**arguments) == message


def test_further_mistakes_are_counted_by_argument() -> None:
    assert refusal(size=["x", "y"]) == 'c.json: args.size[0]: expected a whole number, found "x"'
    assert refusal(size=["x", "y"], count="z").endswith("(and 1 more)")


def test_an_unknown_argument_comes_first() -> None:
    known = "it takes size, share, side, count, flag, names, table, as"
    message = f'c.json: args: Own has no argument "sice"; did you mean "size"? (and 1 more) ({known})'
    assert refusal(count="x", sice=1) == message
