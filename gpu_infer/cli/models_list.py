"""`gpu-infer models list`."""

from __future__ import annotations

from gpu_infer.cli import models_options, options


def list_models(
    models: models_options.Repository = models_options.DEFAULT_REPOSITORY,
    json: options.Json = False,
    debug: options.Debug = False,
) -> None:
    """List the models of a repository with their inputs and outputs."""
    from gpu_infer import logs
    from gpu_infer.cli.console import as_json, say
    from gpu_infer.repository.listing import list_entries

    logs.configure(None, debug=debug)
    listed = list_entries(models)
    if json:
        say(
            as_json(
                [
                    {
                        "name": item.name,
                        "backend": item.entry.backend,
                        "max_batch_size": item.entry.max_batch_size,
                        "inputs": [tensor._asdict() for tensor in item.entry.inputs],
                        "outputs": [tensor._asdict() for tensor in item.entry.outputs],
                    }
                    if item.entry is not None
                    else {"name": item.name, "fault": item.fault}
                    for item in listed
                ]
            )
        )
        return
    for item in listed:
        say(*(models_options.entry_lines(item.entry) if item.entry else [f"{item.name}: {item.fault}"]))
    if not listed:
        say(f"{models}: no model")
