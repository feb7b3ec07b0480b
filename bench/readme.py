"""The README's section of measurements from bench/results: `python -m bench.readme` (`make bench` ends with it)."""

from __future__ import annotations

import argparse
import json
import textwrap
from pathlib import Path
from typing import Any

from bench.support.output import RESULTS, say

README = Path(__file__).parents[1] / "README.md"
BEGIN, END = "<!-- measured: written by bench.readme -->", "<!-- /measured -->"


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.readme", description=__doc__)
    parser.parse_args()
    write()


def write() -> None:
    """Put `section` between the README's two marks; RuntimeError if they are missing."""
    text = README.read_text(encoding="utf-8")
    head, begin, rest = text.partition(BEGIN)
    _, end, tail = rest.partition(END)
    if not begin or not end:
        raise RuntimeError(f"README.md has no lines {BEGIN} and {END}")
    README.write_text(f"{head}{BEGIN}\n{section()}{END}{tail}", encoding="utf-8")
    say("wrote the measurements into README.md")


def section() -> str:
    """Table of the whole job, and a sentence for each of prepare and finish, a table of volume; needs their results."""
    whole = _result("whole")
    columns = list(whole["table"][0])
    lines = ["| " + " | ".join(columns) + " |", "|---" * len(columns) + "|"]
    lines += ["| " + " | ".join(row.values()) + " |" for row in whole["table"]]
    machine = whole["machine"]
    lines += ["", _wrapped(f"{whole['title']}; {machine['cpu']}, {machine['cores']} cores. {' '.join(whole['notes'])}")]
    sentences = [_sentence(name) for name in ("prepare", "finish")]
    lines += ["", _wrapped(" ".join(sentences)), "", *_volumes(_result("volume"))]
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
    content: dict[str, Any] = json.loads((RESULTS / f"{name}.json").read_text(encoding="utf-8"))
    return content


def _wrapped(text: str) -> str:
    return textwrap.fill(text, 120, break_long_words=False, break_on_hyphens=False)


if __name__ == "__main__":
    main()
