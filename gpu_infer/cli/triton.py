"""`gpu-infer triton install` and `gpu-infer triton serve`: a local Triton server, without Docker."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from gpu_infer.cli import options
from gpu_infer.cli.once import OnceCommand
from gpu_infer.errors import ConfigError

app = typer.Typer(help="Install and run a local Triton server.", no_args_is_help=True)

Cache = Annotated[
    Path | None,
    typer.Option(
        "--cache",
        parser=options.path,
        help="Folder for the server. (env GPU_INFER_CACHE, default the user's cache folder)",
    ),
]
Repository = Annotated[
    Path | None, typer.Option("--models", parser=options.path, help="Model repository; default the packaged one.")
]
HttpPort = Annotated[
    int, typer.Option("--http-port", parser=options.port, metavar="PORT", help="Port for HTTP; 0: a free one.")
]
GrpcPort = Annotated[
    int, typer.Option("--grpc-port", parser=options.port, metavar="PORT", help="Port for gRPC; 0: a free one.")
]


@app.command("install", cls=OnceCommand)
def install(cache: Cache = None, debug: options.Debug = False) -> None:
    """Install the server into the cache folder, unless it is installed already."""
    from gpu_infer import logs
    from gpu_infer.cli.console import say
    from gpu_infer.cli.progress import show_lines
    from gpu_infer.triton.local.install import install as install_server

    logs.configure(None, debug=debug)
    with show_lines("installing Triton") as on_line:
        folder = install_server(cache, on_line)
    say(f"triton   {folder}")


@app.command("serve", cls=OnceCommand)
def serve(
    models: Repository = None,
    http_port: HttpPort = 8000,
    grpc_port: GrpcPort = 8001,
    debug: options.Debug = False,
) -> None:
    """Serve a model repository on this machine until Ctrl-C or SIGTERM; installs the server if needed."""
    from gpu_infer import logs
    from gpu_infer.cli.console import say
    from gpu_infer.cli.progress import show_lines
    from gpu_infer.system.resources import resource_folder
    from gpu_infer.triton.local.serve import LocalServer, serve_foreground

    def announce(server: LocalServer) -> None:
        say(f"http     {server.http}", f"grpc     {server.grpc}")

    if http_port == grpc_port != 0:
        raise ConfigError(
            f"--http-port and --grpc-port: found {http_port} for both, expected two ports",
            remedy="give 0 for a free one",
        )
    logs.configure(None, debug=debug)
    with show_lines("installing Triton") as on_line:
        code = serve_foreground(
            models or resource_folder("models"), http_port, grpc_port, on_ready=announce, on_line=on_line
        )
    raise typer.Exit(code)
