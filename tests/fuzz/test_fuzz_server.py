"""The fuzzer of server answers, for a moment; and that it would see a fault."""

from __future__ import annotations

import random

import pytest
from fuzz_server import CALLS, fault_of, grpc_server, http_server, main, mangled, with_odd_value

from gpu_infer.errors import InputError, ServerError


def test_no_fault_in_some_hundred_answers() -> None:
    assert main(6.0, 1) > 100


def test_a_fault_ends_the_fuzzer_as_an_error(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """What runs the fuzzers reads the exit code of each."""
    monkeypatch.setattr("fuzz_server.fault_of", lambda call, client: "odd")
    with pytest.raises(RuntimeError, match="answers of a server end otherwise"):
        main(0.2, 1)
    assert "http seed 1 case 0: odd" in capsys.readouterr().err


@pytest.mark.parametrize("server", [http_server, grpc_server])
def test_sound_answers_pass(server: object, monkeypatch: pytest.MonkeyPatch) -> None:
    """Unmangled, every call returns: the fuzzer mangles what a client would otherwise believe."""
    monkeypatch.setattr("fuzz_server.mangled", lambda data, rng: data)
    monkeypatch.setattr("fuzz_server.mangled_http", lambda data, rng: data)

    class Calm(random.Random):
        def random(self) -> float:
            return 0.99

    with server(Calm(1)) as client:  # type: ignore[operator]
        for call in CALLS:
            call(client)


@pytest.mark.parametrize("error", [KeyError("outputs"), InputError("x"), ServerError("x" * 3000)])
def test_other_outcomes_are_faults(error: Exception) -> None:
    def call(client: object) -> None:
        raise error

    assert fault_of(call, None) is not None  # type: ignore[arg-type]


def test_the_same_seed_mangles_alike() -> None:
    first, second = (mangled(b"x" * 100, random.Random(7)) for _ in range(2))
    assert first == second != b"x" * 100
    document = {"a": [1, {"b": "c"}]}
    assert with_odd_value(document, random.Random(7)) != document
    assert document == {"a": [1, {"b": "c"}]}
