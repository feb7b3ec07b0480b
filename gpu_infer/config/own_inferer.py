"""A custom inferer in the `inferer` section: its class, its own arguments, and those of the model and the server."""

from __future__ import annotations

from dataclasses import replace

from gpu_infer.config.components import Component, OwnKind, construct, import_class, is_vendor_name
from gpu_infer.config.inferer import InfererSpec, inferer_spec, make_spec, with_roi_size
from gpu_infer.config.location import Place
from gpu_infer.inferers.base import Inferer, is_inferer
from gpu_infer.transforms.chain.pipeline import Pipeline

SHARED = (
    *("model_name", "model_version", "ip", "port", "protocol"),
    *("batch_size", "roi_size", "slots", "input_name", "output_name"),
)
"""Arguments of every custom inferer: the model, its server, and the requests."""

_INFERER = OwnKind(is_inferer, "an inferer", "Inferer from gpu_infer.inferers.base")


def read_inferer(component: Component) -> tuple[InfererSpec, Inferer | None]:
    """The specification of an `inferer` section, and the custom inferer or None. Raises ConfigError."""
    if component.path and component.path_key == "name" and is_vendor_name(component.path):
        return inferer_spec(replace(component, name=component.path.rpartition(".")[2], path=None)), None
    if not component.path:
        return inferer_spec(component), None
    cls = import_class(component, _INFERER)
    place, label = component.place, component.name or cls.__name__
    arguments = with_roi_size(component.args, place / "args")
    shared = {key: value for key, value in arguments.items() if key in SHARED}
    own = {key: value for key, value in arguments.items() if key not in SHARED}
    inferer: Inferer = construct(component, cls.__name__, lambda: _checked(cls, label, place), own)
    return make_spec(label, "own", shared, place / "args"), inferer


def _checked(cls: type[Inferer], label: str, place: Place) -> type[Inferer]:
    if taken := sorted({*SHARED, "roi"} & set(cls.Args.model_fields)):
        raise place.error(
            f"{label}: Args declares {', '.join(taken)}, which every inferer has", "give the argument another name"
        )
    if cls.returns not in ("scores", "labels"):
        raise place.error(f'{label}: returns: expected "scores" or "labels", found {cls.returns!r}', "fix the class")
    return cls


def check_returns(inferer: Inferer | None, pipeline: Pipeline, place: Place) -> None:
    """Raise ConfigError if a custom inferer returns labels and the post-transforms do not begin with an argmax."""
    if inferer is not None and inferer.returns == "labels" and pipeline.finalizer != "argmax":
        raise (place / "inferer").error(
            f"{inferer.label} returns labels, which take the place of an argmax",
            "begin post_transforms with ArgmaxAcrossChannels, or let the inferer return scores",
        )
