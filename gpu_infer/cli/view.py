"""`gpu-infer view`."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from gpu_infer.cli import options

_DISPLAYS = ("DISPLAY", "WAYLAND_DISPLAY", "BROWSER")
"""Variables without which Python may open a browser in the terminal, which cannot show the page."""

Folder = Annotated[
    Path,
    typer.Argument(
        metavar="FOLDER",
        parser=options.path,
        help="Output folder or publish folder of a run, or folder of one case of a batch.",
    ),
]
Port = Annotated[int, typer.Option("--port", min=0, max=65535, help="Port on 127.0.0.1; default a free one.")]
Browser = Annotated[bool, typer.Option("--browser/--no-browser", help="Open the page in a browser; default on.")]


def view(folder: Folder, port: Port = 0, browser: Browser = True, debug: options.Debug = False) -> None:
    """Show a case at full resolution in a browser, from a server on this machine, until Ctrl-C."""
    from gpu_infer import logs
    from gpu_infer.cli.console import say
    from gpu_infer.errors import ResourceError
    from gpu_infer.view.server import HOST, ViewServer, serve_until_signal
    from gpu_infer.view.study import open_study
    from gpu_infer.writers.page.asset import check_viewer

    logs.configure(None, debug=debug)
    check_viewer()
    study = open_study(folder)
    try:
        server = ViewServer(study, port)
    except OSError as error:
        raise ResourceError(
            f"--port {port}: {HOST} cannot listen there: {error.strerror}", remedy="leave it out for a free port"
        ) from error
    with server:
        say(f"page     {server.url}", "Ctrl-C ends the server")
        if browser and any(os.environ.get(name) for name in _DISPLAYS):
            import webbrowser

            webbrowser.open(server.url)
        raise typer.Exit(serve_until_signal(server))
