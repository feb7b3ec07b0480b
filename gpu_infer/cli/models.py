"""`gpu-infer models`: the entries of a model repository."""

from __future__ import annotations

import typer

from gpu_infer.cli import models_add, models_check, models_list, models_remove
from gpu_infer.cli.once import OnceCommand

app = typer.Typer(help="Add model files to a model repository; list, check and remove models.", no_args_is_help=True)
app.command("add", cls=OnceCommand)(models_add.add)
app.command("list", cls=OnceCommand)(models_list.list_models)
app.command("check", cls=OnceCommand)(models_check.check)
app.command("remove", cls=OnceCommand)(models_remove.remove)
