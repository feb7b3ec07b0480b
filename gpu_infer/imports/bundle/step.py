"""Read the arguments of one component of a bundle; an error names the file, the component and the argument."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from gpu_infer.errors import ConfigError
from gpu_infer.imports.bundle.expression import Unknown, contains_unknown
from gpu_infer.imports.bundle.resolve import Resolver
from gpu_infer.imports.nnunet.fields import is_number

BY_HAND = "write this part of config_inference.json by hand, see docs/from-monai-bundles.md"

_OF_EVERY_COMPONENT = ("_target_", "_disabled_", "_requires_", "_desc_", "_mode_")

_WITHOUT_EFFECT = {"allow_missing_keys", "meta_keys", "meta_key_postfix", "device", "data_type", "track_meta"}
"""Arguments that change no label."""


@dataclass
class Step:
    """A component: the name of its class, its arguments and its place in the file."""

    name: str
    args: dict[str, Any]
    place: str
    used: set[str] = field(default_factory=lambda: set(_OF_EVERY_COMPONENT))

    def get(self, name: str, default: Any = None) -> Any:
        """The argument's value; ConfigError if only running the bundle gives it."""
        self.used.add(name)
        value = self.args.get(name, default)
        if contains_unknown(value):
            text = _unknown_text(value)
            raise self.error(f"{name} is {text}, which is not run", "write its value there")
        return value

    def skip(self, *names: str) -> None:
        """Accept arguments whatever their value is: they change no label."""
        self.used |= set(names)

    def flag(self, name: str, default: bool = False) -> bool:
        """A boolean. MONAI takes any text as true; "True" is the one that bundles have."""
        value = self.get(name, default)
        value = value[0] if isinstance(value, list) and len(value) == 1 else value
        if value is None or value is True or value is False:
            return bool(value)
        if value in ("True", "true"):
            return True
        raise self.error(f"{name} is {value!r}, expected true or false")

    def only(self, name: str, *allowed: Any) -> Any:
        """The value of an argument that must be missing, null or one of `allowed`."""
        value = self.get(name)
        value = value[0] if isinstance(value, list) and len(value) == 1 else value
        if value is not None and not any(value == one and type(value) is type(one) for one in allowed):
            expected = " or ".join(repr(one) for one in allowed) or "none"
            raise self.error(f"{name} is {value!r}, expected {expected}")
        return value

    def number(self, name: str, default: float | None = None) -> float:
        value = self.get(name, default)
        if not is_number(value):
            raise self.error(f"{name} is {value!r}, expected a number")
        return value  # type: ignore[no-any-return]  # as written: an int stays one

    def positive_numbers(self, name: str, *counts: int) -> list[Any]:
        """A list with one of `counts` positive numbers; a single number stands for all of them."""
        value = self.get(name)
        if is_number(value) and value > 0:
            return [value] * counts[0]
        if not (isinstance(value, list) and len(value) in counts and all(is_number(v) and v > 0 for v in value)):
            raise self.error(f"{name} is {value!r}, expected {' or '.join(map(str, counts))} positive numbers")
        return value

    def labels(self, name: str) -> list[int] | None:
        """Label numbers; None if the argument is missing."""
        value = self.get(name)
        value = [value] if isinstance(value, int) else value
        if value is None:
            return None
        if not (isinstance(value, list) and value and all(type(v) is int and v > 0 for v in value)):
            raise self.error(f"{name} is {value!r}, expected labels from 1 on")
        return value

    def text(self, name: str) -> str:
        """An argument as it is written, code too."""
        self.used.add(name)
        value = self.args.get(name)
        return value.text if isinstance(value, Unknown) else repr(value)

    def finish(self) -> None:
        """Refuse arguments that nothing has read, and transforms that are joined into one resampling."""
        self.only("lazy", False)
        if rest := sorted(set(self.args) - self.used - _WITHOUT_EFFECT):
            raise self.error(f"{', '.join(rest)}: this argument is not imported")

    def error(self, message: str, remedy: str = BY_HAND) -> ConfigError:
        return ConfigError(f"{self.place}: {self.name}: {message}", remedy=remedy)


def _unknown_text(value: Any) -> str:
    """The expression of the first Unknown in a value that has one."""
    if isinstance(value, Unknown):
        return value.text
    items = value.values() if isinstance(value, dict) else value
    return _unknown_text(next(item for item in items if contains_unknown(item)))


def read_step(value: Any, place: str) -> Step:
    """A component of the configuration.

    Raises ConfigError for what is no component, a callable that is not called, and code of the bundle.
    """
    if isinstance(value, Unknown):
        raise ConfigError(f"{place}: {value.text} is code, which is not run", remedy=BY_HAND)
    if not (isinstance(value, Mapping) and isinstance(value.get("_target_"), str)):
        raise ConfigError(f'{place}: expected a component with "_target_"', remedy=BY_HAND)
    target: str = value["_target_"]
    if value.get("_mode_", "default") != "default":
        raise ConfigError(f"{place}: {target}: _mode_ is {value['_mode_']!r}, expected 'default'", remedy=BY_HAND)
    if "." in target and not target.startswith("monai."):
        raise ConfigError(f"{place}: {target} is code of the bundle, which is not run", remedy=BY_HAND)
    return Step(_plain_name(target.rpartition(".")[2]), dict(value), place)


def read_steps(resolver: Resolver, section: str, file: str) -> list[Step]:
    """The transforms of `preprocessing` or `postprocessing`, without disabled ones."""
    return list(_flat(resolver.value(section), f"{file}: {section}"))


def _flat(value: Any, place: str) -> Sequence[Step]:
    if isinstance(value, list):
        return [step for n, item in enumerate(value) for step in _flat(item, f"{place}::{n}")]
    step = read_step(value, place)
    if step.flag("_disabled_"):
        return []
    if step.name != "Compose":
        return [step]
    transforms = step.args.get("transforms")
    if not isinstance(transforms, list):
        raise step.error("expected a list of transforms")
    step.skip("transforms", "map_items", "unpack_items", "log_stats")
    step.finish()
    return _flat(transforms, f"{place}::transforms")


def _plain_name(name: str) -> str:
    """Spacingd for its other names SpacingD and SpacingDict."""
    name = name.removesuffix("ict") if name.endswith("Dict") else name
    return f"{name[:-1]}d" if name.endswith("D") else name
