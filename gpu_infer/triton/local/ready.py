"""Whether the local server is ready, and the reason in its log if it ended by itself."""

from __future__ import annotations

import http.client
import re
from pathlib import Path

from gpu_infer.triton.client.failures import one_line
from gpu_infer.triton.local.ports import ADDRESS

_LAST_LINES = 5
_MODELS_NAMED = 3
_REASON_LIMIT = 240  # characters of one model's reason
# Lines of Triton's log: a model whose code failed, a model whose config.pbtxt is wrong, any other error.
_LOAD_FAILED = re.compile(r"failed to load '(?P<model>[^']+)' version \d+: (?P<why>.+)")
_POLL_FAILED = re.compile(r"Poll failed for model directory '(?P<model>[^']+)': (?P<why>.+)")
_SYNTAX = re.compile(r"Error parsing text-format inference\.ModelConfig: (?P<line>\d+):(?P<column>\d+): (?P<why>.+)")
_NOT_READ = re.compile(r"failed to read text proto from (?P<path>.+)")
_NO_MEMORY = re.compile(
    r"Unable to initialize shared memory key '[^']*' to requested size \((?P<size>\d+ bytes)\).* Error: (?P<why>.+)"
)
# The frames of a model's Python code, the innermost first; the log has "\\n" for a line feed.
_FRAMES = re.compile(r"\s*At:\s*(?P<place>[^\s]+\(\d+\))?.*", re.DOTALL)
_OTHER = re.compile(r"^error: (?P<why>.+)|^E\d{4} .*?\] \"?(?P<text>.+?)\"?$")
_TAKEN = re.compile(r"already in use|Address already in use|Socket .* in use|Unavailable - Socket", re.IGNORECASE)


def is_ready(port: int) -> bool:
    """Whether /v2/health/ready on the loopback address answers 200; never through a proxy."""
    connection = http.client.HTTPConnection(ADDRESS, port, timeout=2)
    try:
        connection.request("GET", "/v2/health/ready")
        return connection.getresponse().status == http.client.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def port_was_taken(log: Path, start: int = 0) -> bool:
    """Whether the log, from byte `start` on, reports that a port was in use."""
    return bool(_TAKEN.search(_text(log, start)))


def failure_reason(log: Path, start: int = 0) -> str:
    """One line from the log after byte `start`: up to three failed models, else the last error or lines."""
    lines = [line.strip() for line in _text(log, start).splitlines() if line.strip()]
    models: dict[str, str] = {}
    other = syntax = ""
    for line in lines:
        if match := _SYNTAX.search(line):  # stands before the line that names the file
            syntax = f"line {match['line']}, column {match['column']}: {match['why']}"
        elif match := _LOAD_FAILED.search(line) or _POLL_FAILED.search(line):
            models.setdefault(match["model"], _reason(match["why"].strip().strip('"'), syntax))
            syntax = ""
        elif match := _OTHER.search(line):
            other = (match["why"] or match["text"]).strip()
    if models:
        failures = [
            f"model {name!r} failed to load: {one_line(why, _REASON_LIMIT)}"
            for name, why in sorted(models.items())[:_MODELS_NAMED]
        ]
        rest = len(models) - len(failures)
        return "; ".join(failures) + (f"; and {rest} more" if rest else "")
    return one_line(other or " | ".join(lines[-_LAST_LINES:]) or "its log is empty")


def _reason(why: str, syntax: str) -> str:
    """One model's reason: the place of a fault in config.pbtxt, and one place instead of all frames of Python code."""
    if (match := _NOT_READ.fullmatch(why)) and syntax:
        return f"{match['path']}: {syntax}"
    why = _NO_MEMORY.sub(r"\g<size> of shared memory cannot be made: \g<why>", why)
    text = why.replace("\\n", "\n")
    match = _FRAMES.search(text)
    if match is None:
        return text
    return text[: match.start()] + (f", at {match['place']}" if match["place"] else "")


def without_version(models: Path) -> list[Path]:
    """Folders of the models in a repository that have no version folder, which Triton does not explain in its log."""
    folders = sorted(path for path in models.iterdir() if (path / "config.pbtxt").is_file())
    return [path for path in folders if not any(v.name.isdecimal() and v.is_dir() for v in path.iterdir())]


def _text(log: Path, start: int) -> str:
    with log.open("rb") as stream:
        stream.seek(start)
        return stream.read().decode(errors="replace")
