"""Custom transforms: whatever their code raises or returns becomes an error that names the component.

`guarded` derives a class whose hooks call those of the author and check what they return. The package's own transforms
are not guarded: an exception from them is a bug of the package.
"""

from __future__ import annotations

import types
from collections.abc import Callable
from typing import Any

from gpu_infer.transforms.base import Barrier, Branch, Measured, Metadata, Transform
from gpu_infer.transforms.custom.arrays import apply_to_field, apply_to_fields, call_read_only
from gpu_infer.transforms.custom.errors import named
from gpu_infer.transforms.custom.states import trace_field, trace_fields
from gpu_infer.transforms.custom.values import METHODS, PROPERTIES, Check, anything

_PACKAGE = __name__.partition(".")[0]

_CALLS: tuple[tuple[type[Transform], dict[str, Callable[..., Any]]], ...] = (
    (Barrier, {"trace": trace_field, "apply": apply_to_field}),
    (Branch, {"trace": trace_fields, "apply": apply_to_fields}),
    (Metadata, {"update": trace_fields}),
    (Measured, {"measure": call_read_only}),
)
"""Hooks that get states or arrays: by kind and name, the function that calls the hook and checks what it changed."""


def guarded(cls: type[Transform]) -> type[Transform]:
    """A subclass of a custom transform in which the author's hooks are checked; it has the same name."""
    members: dict[str, Any] = {"__module__": cls.__module__, "__qualname__": cls.__qualname__, "__doc__": cls.__doc__}
    calls = next((table for kind, table in _CALLS if issubclass(cls, kind)), {})
    for name in (*METHODS, *calls):
        if _is_of_author(cls, name):
            members[name] = _method(cls, name, calls.get(name, _call))
    for name in PROPERTIES:
        # An instance may have a value of its own in place of a plain one, so `check_properties` checks these.
        if _is_of_author(cls, name) and not _is_plain_value(cls, name):
            members[name] = _property(cls, name)
    checked: type[Transform] = types.new_class(cls.__name__, (cls,), exec_body=lambda body: body.update(members))
    return checked


def check_properties(transform: Transform) -> None:
    """Check the author's properties, also those written as plain values. Raises ConfigError.

    Some of them are read for few volumes or chains only, and a mistake must not wait for these.
    """
    for name, check in PROPERTIES.items():
        if _is_of_author(type(transform), name):
            with named(transform, name):
                check(getattr(transform, name), transform)


def _is_of_author(cls: type[Transform], name: str) -> bool:
    owner = next((c for c in cls.__mro__ if name in vars(c)), None)
    return owner is not None and owner.__module__.partition(".")[0] != _PACKAGE


def _is_plain_value(cls: type[Transform], name: str) -> bool:
    return not hasattr(_static(cls, name), "__get__")


def _static(cls: type[Transform], name: str) -> Any:
    """The attribute as it is in its class: the function, the property or the value."""
    return next(vars(c)[name] for c in cls.__mro__ if name in vars(c))


def _hook(cls: type[Transform], name: str, instance: Transform) -> Any:
    """The author's attribute, bound to `instance`: as `super()` in the guarded class."""
    static: Any = _static(cls, name)
    return static.__get__(instance, type(instance)) if hasattr(static, "__get__") else static


def _call(transform: Transform, hook: Callable[..., Any], *arguments: Any, **named_arguments: Any) -> Any:
    return hook(*arguments, **named_arguments)


def _method(cls: type[Transform], name: str, call: Callable[..., Any]) -> Callable[..., Any]:
    check: Check = METHODS.get(name, anything)

    def method(self: Transform, *arguments: Any, **named_arguments: Any) -> Any:
        with named(self, name):
            value = call(self, _hook(cls, name, self), *arguments, **named_arguments)
            return check(value, self, *arguments)

    return method


def _property(cls: type[Transform], name: str) -> property:
    def get(self: Transform) -> Any:
        with named(self, name):
            return PROPERTIES[name](_hook(cls, name, self), self)

    return property(get)
