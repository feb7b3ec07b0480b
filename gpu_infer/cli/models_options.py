"""What the commands of `gpu-infer models` share: their options, and a line of a model."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gpu_infer.cli import options

if TYPE_CHECKING:
    from gpu_infer.repository.entry import Entry, Tensor

DEFAULT_REPOSITORY = Path("models")

Name = Annotated[str, typer.Argument(metavar="NAME", help="Name of the model.")]
Repository = Annotated[
    Path, typer.Option("--models", parser=options.path, help="Model repository, the folder of model folders.")
]


def sizes(text: str, option: str) -> tuple[int, ...]:
    """The numbers of "1,96,96,96"; a usage error if it has anything else."""
    try:
        return tuple(int(part) for part in text.split(","))
    except ValueError:
        raise typer.BadParameter(f"{option}: found {text!r}, expected whole numbers, as 1,96,96,96") from None


def entry_lines(entry: Entry) -> list[str]:
    """Backend, batch and tensors, for people."""
    return [
        f"{entry.name}: {entry.backend}, max_batch_size {entry.max_batch_size}",
        *(f"  input   {_tensor(tensor)}" for tensor in entry.inputs),
        *(f"  output  {_tensor(tensor)}" for tensor in entry.outputs),
    ]


def _tensor(tensor: Tensor) -> str:
    return f"{tensor.name} {tensor.dtype} {list(tensor.dims)}"
