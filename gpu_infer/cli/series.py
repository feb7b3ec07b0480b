"""`gpu-infer series`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gpu_infer.cli import options
from gpu_infer.errors import escape

if TYPE_CHECKING:
    from gpu_infer.volume.formats.dicom.study import StudySeries

StudyArgument = Annotated[
    Path, typer.Argument(metavar="PATH", parser=options.path, help="A folder of any depth, a .zip or a DICOMDIR.")
]
_COLUMNS = ("number", "modality", "series", "description", "slices", "size", "spacing_mm", "state")
_HEADINGS = ("", "modality", "series", "description", "slices", "size", "spacing (mm)", "")


def series(
    path: StudyArgument,
    with_identity: options.WithIdentity = None,
    json: options.Json = False,
    debug: options.Debug = False,
) -> None:
    """List the series of a DICOM study, and which of them are volumes."""
    from gpu_infer import logs
    from gpu_infer.cli.console import as_json, say
    from gpu_infer.volume.open_input import open_study

    logs.configure(None, debug=debug)
    with open_study(path) as study:
        described = [_describe(path, one, with_identity=bool(with_identity)) for one in study]
    if json:
        say(as_json(described))
    else:
        _table(described)


def _describe(path: Path, one: StudySeries, *, with_identity: bool) -> dict[str, Any]:
    """Facts of one series; the identity of the patient only if it may be shown."""
    from gpu_infer.volume.formats.dicom.texts import IDENTITY, read_texts
    from gpu_infer.volume.open_input import reason

    keywords = IDENTITY if with_identity else ("SeriesNumber", "SeriesDescription")
    texts = {word: "\\".join(values) for word, values in read_texts(one.first.path, keywords).items()}
    problem = reason(path, one)
    facts: dict[str, Any] = {
        "number": one.number,
        "modality": one.modality,
        "series": texts["SeriesNumber"],
        "description": texts["SeriesDescription"],
        "slices": one.slices,
        "size": list(one.size),
        "spacing_mm": None if problem else [round(mm, 6) for mm in one.volume_spacing],
        "usable": problem is None,
        "reason": problem,
    }
    return facts | ({"identity": texts} if with_identity else {})


def _cells(facts: dict[str, Any]) -> list[str]:
    size = "×".join(map(str, facts["size"])) if any(facts["size"]) else ""
    spacing = "×".join(f"{mm:.4g}" for mm in facts["spacing_mm"] or ())
    state = "volume" if facts["usable"] else f"not usable: {facts['reason']}"
    cells = [str(facts[key]) for key in _COLUMNS[:5]]
    identity = [f"{key}={value}" for key, value in facts.get("identity", {}).items() if value]
    return [escape(cell) for cell in (*cells, size, spacing, state, *identity)]


def _table(described: list[dict[str, Any]]) -> None:
    from rich.table import Table

    from gpu_infer.cli.console import say, stdout

    rows = [_cells(facts) for facts in described]
    console = stdout()
    if not console.is_terminal:
        say(*("\t".join(row) for row in rows))
        return
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in _HEADINGS:
        table.add_column(heading, overflow="fold")
    if len(rows[0]) > len(_HEADINGS):
        table.add_column("identity", overflow="fold")
    for row in rows:
        cells, identity = row[: len(_HEADINGS)], row[len(_HEADINGS) :]
        table.add_row(*cells, *(["\n".join(identity)] if identity else []))
    console.print(table, soft_wrap=False)
