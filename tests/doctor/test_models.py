"""The models of a server, and the configured one among them."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import pytest
from config_files import component, load, lung
from triton_fakes import FakeClient, FakeServer, model

from gpu_infer.connect import configured_models
from gpu_infer.doctor.models import check_index, check_models
from gpu_infer.errors import ModelError, ServerError
from gpu_infer.settings import Settings
from gpu_infer.triton.client.server import Server
from gpu_infer.triton.model.info import ModelEntry, ModelInfo


class Repository(FakeServer):
    """A server with an index, whose models all look like `toy`."""

    entries: tuple[ModelEntry, ...] = ()
    index_error: Exception | None = None

    def client(self) -> FakeClient:
        return _Client(self)

    def model(self, name: str, *_: object, **__: object) -> ModelInfo:
        if name not in [entry.name for entry in self.entries]:
            raise ModelError(f"model {name} is not on the server", remedy="correct inferer.args.model_name (--model)")
        return model(name=name)


class _Client(FakeClient):
    def model_index(self, timeout: float = 1.0) -> list[ModelEntry]:
        server = cast(Repository, self.server)
        if server.index_error is not None:
            raise server.index_error
        return list(server.entries)


def server(*entries: ModelEntry) -> Server:
    repository = Repository()
    repository.entries = entries
    return cast(Server, cast(Any, repository))


def settings(**options: Any) -> Settings:
    return Settings(input=Path("in"), output=Path("out"), **options)


LUNG, LIVER = ModelEntry("ct_lung_v1", "1", "READY", ""), ModelEntry("ct_liver", "3", "READY", "")
BROKEN = ModelEntry("broken", "2", "UNAVAILABLE", "Internal: " + "no such file " * 10)


def test_the_index_begins_with_the_configured_model_and_those_that_failed() -> None:
    entries, check = check_index(server(LIVER, BROKEN, ModelEntry("idle", "", "", ""), LUNG), ["ct_lung_v1"])
    assert [entry.name for entry in entries] == ["ct_lung_v1", "broken", "idle", "ct_liver"]
    assert check.status == "ok"
    reason = "Internal: no such file no such file no such file no such fi…"
    assert check.found == (
        f"4 on the server: ct_lung_v1 1 READY; broken 2 UNAVAILABLE ({reason}); idle not loaded; ct_liver 3 READY"
    )
    assert check.details[1] == {  # type: ignore[index]
        "name": "broken",
        "version": "2",
        "state": "UNAVAILABLE",
        "reason": BROKEN.reason,
    }


def test_a_long_index_is_cut_in_the_line_alone() -> None:
    _, check = check_index(server(*(ModelEntry(f"m{k}", "1", "READY", "") for k in range(9))), ())
    assert check.found.endswith("; m5 1 READY; and 3 more")
    assert len(check.details) == 9  # type: ignore[arg-type]


def test_an_empty_index_and_one_that_is_refused_are_warnings() -> None:
    _, check = check_index(server(), ())
    assert (check.status, check.found) == ("warn", "the server has no model")
    refusing = server(LUNG)
    cast(Any, refusing).index_error = ServerError("repository index: not allowed")
    entries, check = check_index(refusing, ())
    assert entries == []
    assert (check.status, check.found) == ("warn", "the server does not list its models: repository index: not allowed")


def test_a_missing_model_fails_with_a_similar_name() -> None:
    used = settings(model_name="ct_lung", roi_size=(8, 8, 8))
    models, (check,) = check_models(used, None, server(LUNG, LIVER), [LUNG, LIVER])
    assert models == ()
    assert (check.status, check.exit_code) == ("fail", 4)
    assert check.remedy == 'correct inferer.args.model_name (--model); did you mean "ct_lung_v1"?'


def test_windows_of_any_size_need_a_roi() -> None:
    models, (check,) = check_models(settings(model_name="ct_lung_v1"), None, server(LUNG), [LUNG])
    assert models == ()
    assert (check.status, check.exit_code) == ("fail", 2)
    assert check.remedy == "set inferer.args.roi_size, or give --roi X,Y,Z"
    sized = settings(model_name="ct_lung_v1", roi_size=(8, 8, 8))
    models, (check,) = check_models(sized, None, server(LUNG), [LUNG])
    assert len(models) == 1
    assert (check.status, check.found) == (
        "ok",
        "ct_lung_v1 version 1: FP32 1×?×?×? → 2×?×?×?, batch up to 4",
    )


@pytest.mark.parametrize("name", [None, "a"])
def test_without_a_configuration_the_option_alone_names_a_model(name: str | None) -> None:
    assert configured_models(settings(model_name=name), None) == (() if name is None else (name,))
    if name is None:
        assert check_models(settings(), None, server(LUNG), [LUNG]) == ((), [])


def test_each_of_several_models_has_a_check(tmp_path: Path) -> None:
    entries = {"models": ["ct_lung_v1", "ct_liver"], "roi_size": [8, 8, 8]}
    config = load(tmp_path, lung(inferer=component("TRTISScanWindowInferer", **entries)))
    assert configured_models(settings(), config.inferer) == ("ct_lung_v1", "ct_liver")
    infos, checks = check_models(settings(), config, server(LUNG, LIVER), [LUNG, LIVER])
    assert [info.name for info in infos] == ["ct_lung_v1", "ct_liver"]
    assert [check.status for check in checks] == ["ok", "ok"]
    infos, checks = check_models(settings(), config, server(LUNG), [LUNG])
    assert infos == ()
    assert [check.status for check in checks] == ["ok", "fail"]
    infos, (check,) = check_models(settings(model_name="other"), config, server(LUNG), [LUNG])
    assert (infos, check.status) == ((), "fail")
    assert check.found.startswith("--model other: the configuration lists 2 models")
