"""Reads the arguments of `docker run` and `docker build` that start scripts use, and refuses others."""

from __future__ import annotations

import argparse
from typing import NoReturn

Bind = tuple[str, str, str]


class Refusal(Exception):
    """A call that Docker would refuse, or that the stand-in does not understand."""


class _Parser(argparse.ArgumentParser):
    def __init__(self) -> None:
        super().__init__(add_help=False, allow_abbrev=False)

    def error(self, message: str) -> NoReturn:
        raise Refusal(message)


def run_arguments(arguments: list[str]) -> argparse.Namespace:
    """Options, image and command of `docker run`; `binds` are its volumes."""
    parser = _Parser()
    parser.add_argument("--name", default="")
    parser.add_argument("--network", default="")
    parser.add_argument("--network-alias", action="append", default=[])
    parser.add_argument("-v", "--volume", action="append", default=[])
    parser.add_argument("-e", "--env", action="append", default=[])
    parser.add_argument("-p", "--publish", action="append", default=[])
    parser.add_argument("--user", default="")
    parser.add_argument("--entrypoint", default="")
    parser.add_argument("--ipc", choices=["host"])
    parser.add_argument("--tmpfs", action="append", default=[])
    parser.add_argument("-d", "--detach", action="store_true")
    parser.add_argument("--rm", action="store_true")
    parser.add_argument("--read-only", action="store_true")
    # Without effect: output goes to the client in any case, and the limits are those of this host.
    parser.add_argument("-i", "-t", "-it", action="store_true", dest="terminal")
    for name in ("--shm-size", "--ulimit", "--security-opt"):
        parser.add_argument(name, action="append")
    parser.add_argument("image")
    parser.add_argument("command", nargs=argparse.REMAINDER)
    options = parser.parse_args(arguments)
    options.binds = [_bind(text) for text in options.volume]
    return options


def build_arguments(arguments: list[str]) -> argparse.Namespace:
    """Options and context of `docker build`; `values` are its build arguments."""
    parser = _Parser()
    parser.add_argument("-t", "--tag", required=True)
    parser.add_argument("-f", "--file", default="")
    parser.add_argument("--build-arg", action="append", default=[])
    parser.add_argument("context")
    options = parser.parse_args(arguments)
    options.values = dict(text.split("=", 1) for text in options.build_arg)
    return options


def _bind(text: str) -> Bind:
    """source:target[:ro] of --volume."""
    source, target, *mode = text.split(":")
    if not source.startswith("/") or mode not in ([], ["ro"], ["rw"]):
        raise Refusal(f"--volume {text}: not understood")
    return source, target, (mode or ["rw"])[0]
