"""`gpu-infer models remove`."""

from __future__ import annotations

from gpu_infer.cli import models_options, options


def remove(
    name: models_options.Name,
    models: models_options.Repository = models_options.DEFAULT_REPOSITORY,
    debug: options.Debug = False,
) -> None:
    """Remove a model that `models add` wrote; a folder with any other file is refused."""
    from gpu_infer import logs
    from gpu_infer.cli.console import say_done
    from gpu_infer.repository.remove import remove_entry

    logs.configure(None, debug=debug)
    say_done(f"removed {remove_entry(models, name)}")
