"""Exceptions in custom transforms end as one line that names file, key, component, hook and cause."""

from __future__ import annotations

import traceback
from typing import Any

import pytest
from component_author import Author, returning

from gpu_infer.errors import GpuInferError, Interrupted, ResourceError
from gpu_infer.transforms.base import Barrier

HOOKS = {
    "function": ("Pointwise", "return ClampedAffine()"),
    "measure": ("Measured", "return ClampedAffine()"),
    "tables": ("Regrid", "return field.shape, tuple(linear_table(n, n) for n in field.shape)"),
    "box": ("Crop", "return (0, 0, 0), field.shape"),
    "apply": ("Barrier", "return array"),
}


EXTRA = {"Regrid": "interpolation = 'linear'\n"}


@pytest.mark.parametrize("hook", HOOKS)
def test_components_without_mistakes_run(author: Author, hook: str) -> None:
    kind, code = HOOKS[hook]
    author.run(kind, EXTRA.get(kind, "") + returning(hook, code.removeprefix("return ")))


@pytest.mark.parametrize("hook", HOOKS)
@pytest.mark.parametrize(
    ("code", "cause"),
    [
        ("raise KeyError('atlas')", "failed: KeyError: 'atlas' (fix the component at component_of_author.py, line 1"),
        (
            "raise RuntimeError('two\\nlines')",
            "failed: RuntimeError: two lines (fix the component at component_of_author.py",
        ),
        ("open('/no/such/atlas')", "failed: FileNotFoundError: [Errno 2] No such file or directory: '/no/such/atlas'"),
        ("assert False", "failed: AssertionError (fix"),
        ("sys.exit(0)", "failed: it called sys.exit(0) (a component raises an exception to fail)"),
        ("raise GeneratorExit", "failed: GeneratorExit (fix"),
        ("raise ConfigError('no atlas', remedy='buy one')", "no atlas (buy one)"),
    ],
)
def test_an_exception(author: Author, hook: str, code: str, cause: str) -> None:
    kind, _ = HOOKS[hook]
    body = EXTRA.get(kind, "") + returning(hook, "None").replace("return None", code)
    assert cause in author.refusal(kind, body).removeprefix(f"{hook}")


@pytest.mark.parametrize(("kind", "hook"), [(kind, hook) for hook, (kind, _) in HOOKS.items()])
def test_nothing_returned(author: Author, kind: str, hook: str) -> None:
    message = author.refusal(kind, EXTRA.get(kind, "") + returning(hook, "None"))
    assert message.startswith(f"{hook}: expected ")
    assert message.endswith("found None (fix the component)")


def test_a_lack_of_memory_stays_one(author: Author) -> None:
    with pytest.raises(ResourceError, match=r"pre_transforms\[1\]: Mine: apply: out of memory"):
        author.run("Barrier", returning("apply", "array").replace("return array", "raise MemoryError"))


def test_an_error_of_the_package_keeps_its_class(author: Author) -> None:
    with pytest.raises(ResourceError, match=r"Mine: apply: no card \(buy\)") as caught:
        author.run(
            "Barrier", returning("apply", "1").replace("return 1", "raise ResourceError('no card', remedy='buy')")
        )
    assert type(caught.value) is ResourceError


@pytest.mark.parametrize("error", [Interrupted, KeyboardInterrupt])
def test_an_interrupt_passes(author: Author, error: type[BaseException]) -> None:
    code = returning("apply", "1").replace("return 1", f"raise {error.__name__}('SIGINT')")
    with pytest.raises(error, match=r"^SIGINT$"):
        author.run("Barrier", code)


def test_debug_shows_the_traceback_of_the_author(author: Author) -> None:
    with pytest.raises(GpuInferError) as caught:
        author.run("Pointwise", returning("function", "1 / 0"))
    assert "component_of_author.py" in "".join(traceback.format_exception(caught.value))


def test_a_guarded_class_looks_like_that_of_the_author(author: Author) -> None:
    mine: Any = author.load("Barrier", '"""Doc."""\n' + returning("apply", "array")).pre[1]
    assert isinstance(mine, Barrier)
    cls = type(mine)
    assert (cls.__name__, cls.__module__, cls.__doc__, mine.label) == ("Mine", "component_of_author", "Doc.", "Mine")
