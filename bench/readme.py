"""The README's section of measurements from bench/results: `python -m bench.readme` (bench.publish ends with it)."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from bench.support.output import PUBLISHED, say
from bench.support.readme_tables import machine_of, table_lines, transports_lines, windows_lines, wrapped

README = Path(__file__).parents[1] / "README.md"
SHOWN = {"finish", "large", "prepare", "transports", "volume", "whole", "windows"}
"""Results that the section shows; large and windows if they are there."""


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.readme", description=__doc__)
    parser.parse_args()
    write()


def write() -> None:
    """Put every section between its two marks in the README; RuntimeError if they are missing."""
    text = README.read_text(encoding="utf-8")
    for name, content in sections().items():
        text = replaced(text, name, content)
    README.write_text(text, encoding="utf-8")
    say("wrote the measurements into README.md")


def replaced(text: str, name: str, content: str) -> str:
    """The text with `content` between the marks of the section `name`."""
    begin, end = f"<!-- {name}: written by bench.readme -->", f"<!-- /{name} -->"
    head, first, rest = text.partition(begin)
    _, last, tail = rest.partition(end)
    if not first or not last:
        raise RuntimeError(f"README.md has no lines {begin} and {end}")
    return f"{head}{begin}\n{content}{end}{tail}"


def sections() -> dict[str, str]:
    """The text between the README's marks, by the marks' name."""
    return {"transports": "\n".join(transports_lines(_result("transports"))) + "\n", "measured": _measured()}


def _measured() -> str:
    """Tables of the whole job, volume, windows and large, and sentences for prepare and finish."""
    whole = _result("whole")
    lines = table_lines(whole["table"])
    lines += ["", wrapped(f"{whole['title']}; {machine_of(whole)}. {' '.join(whole['notes'])}")]
    sentences = [_sentence(name) for name in ("prepare", "finish")]
    lines += ["", wrapped(" ".join(sentences)), "", *_volumes(_result("volume"))]
    if _has("windows"):
        lines += ["", *windows_lines(_result("windows"))]
    if _has("large"):
        large = _result("large")
        title = f"{large['title']}; {machine_of(large)}"
        text = f"Volumes larger than memory (`python -m bench.large`): {title}. {' '.join(large['notes'])}"
        lines += ["", wrapped(text), "", *table_lines(large["table"])]
    return "\n".join(lines) + "\n"


def _sentence(name: str) -> str:
    result = _result(name)
    parts = [
        f"{values['ratio_monai']:.0f} times as fast at {target}{_lazily(values)} with "
        f"1/{values['ratio_monai_memory']:.0f} of the memory"
        for target, values in result.items()
        if isinstance(values, dict) and "ratio_monai" in values
    ]
    return f"{result['title'].partition(':')[0]} alone, compared with MONAI: {', '.join(parts)}."


def _volumes(result: dict[str, Any]) -> list[str]:
    """Lines of a table: whole runs of phantoms, case by case."""
    lines = [
        "Whole runs of phantoms (`python -m bench.volume`) at 1 mm, with a model of negligible compute time:",
        "",
        "| phantom | gpu_infer | MONAI | MONAI takes |",
        "|---|---|---|---|",
    ]
    for case, sides in result["cases"].items():
        ours, theirs = sides["gpu_infer"], sides.get("MONAI", {})
        ratio = f"{theirs['seconds'] / ours['seconds']:.0f} times as long" if "seconds" in theirs else ""
        lines.append(f"| {case} | {_run(ours)} | {_run(theirs)} | {ratio} |")
    return lines


def _run(side: dict[str, Any]) -> str:
    if "seconds" not in side:
        return str(side.get("left_out", ""))
    return f"{side['seconds']:.1f} s, {side['peak_host_bytes'] / 2**30:.1f} GiB"


def _lazily(values: dict[str, Any]) -> str:
    timings = values["timings"]
    if "MONAI, lazy" not in timings:
        return ""
    return f" ({timings['MONAI, lazy']['median_s'] / timings['gpu_infer']['median_s']:.0f} compared with its lazy mode)"


def _result(name: str) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((PUBLISHED / f"{name}.json").read_text(encoding="utf-8"))
    return content


def _has(name: str) -> bool:
    return (PUBLISHED / f"{name}.json").is_file()


if __name__ == "__main__":
    main()
