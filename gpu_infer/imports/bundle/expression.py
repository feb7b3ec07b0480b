"""Values of a bundle's `$expressions`, as far as they are constants. Nothing is executed."""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

_LONGEST = 2000
"""Characters; a longer expression is code, not a constant."""

_MOST = 10_000
"""Items of a list, or characters."""

_LARGEST = 2.0**63

_MODULES = ("torch", "numpy", "np")
_DTYPES = ("float16", "float32", "float64", "uint8", "int8", "uint16", "int16", "uint32", "int32", "int64", "bool")
_KEYS = {"IMAGE": "image", "LABEL": "label", "PRED": "pred"}  # monai.utils.CommonKeys

_BINARY: dict[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
}
_COMPARE: dict[type[ast.cmpop], Callable[[Any, Any], Any]] = {
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
}
_UNARY: dict[type[ast.unaryop], Callable[[Any], Any]] = {
    ast.Not: operator.not_,
    ast.USub: operator.neg,
    ast.UAdd: operator.pos,
}


@dataclass(frozen=True)
class Unknown:
    """A value that only running the bundle gives; `text` is its expression, for messages."""

    text: str


class NotConstantError(Exception):
    """The expression is not one of constants."""


def evaluate(text: str, names: Mapping[str, Any]) -> Any:
    """The value of the expression `text`, without its `$`; Unknown if it is not one of constants.

    Literals, lists, tuples, dictionaries, arithmetic of numbers, joined strings and lists, comparisons, `and`, `or`,
    `not`, `a if b else c`, subscripts and `len` are known, and so are dtypes as `torch.float32`, which become their
    names, and `monai.utils.CommonKeys`. `names` are the values of variables.
    """
    if len(text) > _LONGEST:
        return Unknown(text)
    try:
        return _value(ast.parse(text.strip(), mode="eval").body, names)
    except (NotConstantError, ArithmeticError, LookupError, TypeError, ValueError, SyntaxError, RecursionError):
        return Unknown(text)


def _value(node: ast.expr, names: Mapping[str, Any]) -> Any:
    match node:
        case ast.Constant(value=value) if isinstance(value, (str, int, float, type(None))):
            return value
        case ast.Name(id=name) if name in names:
            return _known(names[name])
        case ast.List(elts=items) | ast.Tuple(elts=items):
            return [_value(item, names) for item in items]
        case ast.Dict(keys=keys, values=values) if None not in keys:
            return {_value(k, names): _value(v, names) for k, v in zip(keys, values, strict=True) if k is not None}
        case ast.UnaryOp(op=op, operand=operand) if type(op) in _UNARY:
            return _UNARY[type(op)](_value(operand, names))
        case ast.BinOp(left=left, op=op, right=right) if type(op) in _BINARY:
            return _binary(op, _value(left, names), _value(right, names))
        case ast.BoolOp(op=op, values=values):
            return _boolean(op, values, names)
        case ast.Compare(left=left, ops=[op], comparators=[right]) if type(op) in _COMPARE:
            return _COMPARE[type(op)](_value(left, names), _value(right, names))
        case ast.IfExp(test=test, body=body, orelse=orelse):
            return _value(body if _value(test, names) else orelse, names)
        case ast.Subscript(value=value, slice=index):
            return _known(_value(value, names)[_value(index, names)])
        case ast.Call(func=ast.Name(id="len"), args=[argument], keywords=[]):
            return len(_value(argument, names))
        case ast.Attribute():
            return _constant_of_library(ast.unparse(node))
    raise NotConstantError


def _known(value: Any) -> Any:
    if contains_unknown(value) or (isinstance(value, dict) and "_target_" in value):
        raise NotConstantError
    return value


def contains_unknown(value: Any) -> bool:
    """Whether a value, or one inside it, needs the bundle to run."""
    if isinstance(value, dict):
        return any(contains_unknown(item) for item in value.values())
    if isinstance(value, list):
        return any(contains_unknown(item) for item in value)
    return isinstance(value, Unknown)


def _binary(op: ast.operator, left: Any, right: Any) -> Any:
    numbers = all(isinstance(side, (int, float)) for side in (left, right))
    sequences = isinstance(op, ast.Add) and type(left) is type(right) and isinstance(left, (str, list))
    if not (numbers or sequences):  # a list times a number could fill the memory; a string % is a format
        raise NotConstantError
    value = _BINARY[type(op)](left, right)
    is_large = abs(value) > _LARGEST if numbers else len(value) > _MOST
    if is_large:  # references to references double it again and again
        raise NotConstantError
    return value


def _boolean(op: ast.boolop, values: list[ast.expr], names: Mapping[str, Any]) -> Any:
    value = None
    for item in values:
        value = _value(item, names)
        if bool(value) is isinstance(op, ast.Or):
            break
    return value


def _constant_of_library(dotted: str) -> str:
    module, _, name = dotted.rpartition(".")
    if module in _MODULES and name in _DTYPES:
        return name
    if module in ("monai.utils.CommonKeys", "monai.utils.enums.CommonKeys") and name in _KEYS:
        return _KEYS[name]
    raise NotConstantError
