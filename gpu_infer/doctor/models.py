"""Check the models of a server, and those that the configuration names."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING

from gpu_infer.config.location import nearest
from gpu_infer.config.model_entries import ModelEntry
from gpu_infer.doctor.check import Check, failure
from gpu_infer.errors import ConfigError, GpuInferError, ModelError
from gpu_infer.settings import Settings
from gpu_infer.triton.client.failures import one_line

if TYPE_CHECKING:
    from gpu_infer.config.config import Config
    from gpu_infer.triton.client.server import Server
    from gpu_infer.triton.model.info import ModelEntry as IndexEntry
    from gpu_infer.triton.model.info import ModelInfo

_NAMED = 6
_REASON_LIMIT = 60  # characters of the reason of one model


def check_index(server: Server, models: Sequence[str]) -> tuple[list[IndexEntry], Check]:
    """The server's repository index, and a check that lists it: the configured models, models that failed, the others.

    The state of models that a run does not use has no influence on it. `details` has every entry.
    """
    name = "models"
    client = server.client()
    try:
        entries = client.model_index()
    except GpuInferError as error:
        return [], Check(name, "warn", f"the server does not list its models: {error.message}", error.remedy)
    finally:
        client.close()
    if not entries:
        return [], Check(name, "warn", "the server has no model", "add models to its repository, or load them")
    entries = sorted(entries, key=lambda e: (e.name not in models, e.state == "READY", e.name, e.version))
    listed = "; ".join(_describe(entry) for entry in entries[:_NAMED])
    rest = f"; and {len(entries) - _NAMED} more" if len(entries) > _NAMED else ""
    summary = f"{len(entries)} on the server: {listed}{rest}"
    return entries, Check(name, "ok", summary, details=[asdict(entry) for entry in entries])


def _describe(entry: IndexEntry) -> str:
    version = f" {entry.version}" if entry.version else ""
    reason = f" ({one_line(entry.reason, _REASON_LIMIT)})" if entry.reason else ""
    return f"{entry.name}{version} {entry.state or 'not loaded'}{reason}"


def check_models(
    settings: Settings, config: Config | None, server: Server, entries: list[IndexEntry]
) -> tuple[tuple[ModelInfo, ...], list[Check]]:
    """The configured models as the server describes them, and a check of each; none if a run could not use them all.

    Without a valid configuration and without --model, no model is known, and nothing is checked.

    entries  the server's index, for names similar to one that it does not have
    """
    if config is None and settings.model_name is None:
        return (), []
    from gpu_infer.planning.run_inputs import model_entries

    wanted: Sequence[ModelEntry]
    if config is None:
        wanted = (ModelEntry(model_name=settings.model_name),)
    elif settings.model_name is None and not config.inferer.entries:
        missing = ConfigError(
            f"{config.path}: inferer.args.model_name is missing",
            remedy=f"set it, or give --model with one of: {_names(entries)}",
        )
        return (), [failure("model", missing)]
    else:
        try:
            wanted = model_entries(config, settings)
        except ConfigError as error:
            return (), [failure("model", error)]
    results = [_check_model(settings, config, server, entries, each) for each in wanted]
    models = tuple(model for model, _ in results if model is not None)
    return models if len(models) == len(results) else (), [check for _, check in results]


def _check_model(
    settings: Settings, config: Config | None, server: Server, entries: list[IndexEntry], wanted: ModelEntry
) -> tuple[ModelInfo | None, Check]:
    """One model as the server describes it, None if a run could not use it."""
    inferer = config.inferer if config is not None else None
    try:
        model = server.model(
            wanted.model_name,
            wanted.model_version or "",
            input_name=wanted.input_name,
            output_name=wanted.output_name,
            batch=settings.batch_size or (inferer.batch_size if inferer else None),
            slices=inferer is not None and inferer.takes_slices,
            wait_s=settings.ready_wait_s,
            load=settings.load_model,
        )
    except GpuInferError as error:
        return None, failure("model", _with_similar(error, wanted.model_name, entries))
    description = (
        f"{model.name} version {model.version}: {model.input.datatype} {_dims(model.input.dims)} → "
        f"{_dims(model.output.dims)}, batch up to {model.max_batch}"
    )
    roi = settings.roi_size or (inferer.roi_size if inferer else None)
    has_windows = inferer is None or inferer.kind != "simple"
    if has_windows and -1 in model.input.dims[1 - len(model.input.dims) :] and roi is None:
        undecided = ConfigError(
            f"{description}: the model takes windows of any size, and none is given",
            remedy="set inferer.args.roi_size, or give --roi X,Y,Z",
        )
        return None, failure("model", undecided)
    return model, Check("model", "ok", description)


def _with_similar(error: GpuInferError, name: str, entries: list[IndexEntry]) -> GpuInferError:
    """The same error; if the server does not have the model, its remedy ends with a similar name."""
    names = {entry.name for entry in entries}
    if name in names or not isinstance(error, ModelError):
        return error
    return type(error)(error.message, remedy=f"{error.remedy}{nearest(name, names)}")


def _names(entries: list[IndexEntry]) -> str:
    return ", ".join(sorted({entry.name for entry in entries})[:_NAMED]) or "none on the server"


def _dims(dims: tuple[int, ...]) -> str:
    return "×".join("?" if size < 0 else str(size) for size in dims)
