"""Check that a bundle's run uses the sections that are imported."""

from __future__ import annotations

from typing import Any

from gpu_infer.errors import ConfigError
from gpu_infer.imports.bundle.expression import Unknown
from gpu_infer.imports.bundle.resolve import Resolver
from gpu_infer.imports.bundle.step import BY_HAND

_USES = {
    "dataset::transform": "preprocessing",
    "evaluator::inferer": "inferer",
    "evaluator::postprocessing": "postprocessing",
}

_CODE = ("evaluator::prepare_batch", "evaluator::iteration_update")


def check_workflow(resolver: Resolver, file: str) -> None:
    """Raise ConfigError if the dataset or the evaluator uses another section, or code of its own."""
    for item, section in _USES.items():
        if item not in resolver:
            continue
        value = resolver.value(item)
        if not (_is_reference(value, section) or value == resolver.value(section)):
            raise ConfigError(f'{file}: {item} is another one than "@{section}"', remedy=BY_HAND)
    for item in _CODE:
        value = resolver.value(item) if item in resolver else None
        if value is not None:
            text = value.text if isinstance(value, Unknown) else repr(value)
            raise ConfigError(f"{file}: {item} is {text}, expected none", remedy=BY_HAND)


def _is_reference(value: Any, section: str) -> bool:
    return isinstance(value, Unknown) and value.text.replace(" ", "") == f"$@{section}"
