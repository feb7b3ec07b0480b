"""Every kind of refusal becomes the class that callers act on, in one line. The texts are Triton 2.51's own."""

from __future__ import annotations

import pytest

from gpu_infer.errors import DeadlineError, ModelError, ServerError
from gpu_infer.triton.client.failures import (
    ConnectionLost,
    RegionBusy,
    RegionExists,
    RegionUnknown,
    Subject,
    connection_lost,
    deadline,
    one_line,
    refusal,
)


@pytest.mark.parametrize(
    ("status", "text", "expected"),
    [
        ("NOT_FOUND", "Unable to find shared memory region: 'zz'", RegionUnknown),
        ("404", "Unable to find shared memory region: 'zz'", RegionUnknown),
        ("ALREADY_EXISTS", "shared memory region 'r1' already in manager", RegionExists),
        ("500", "Cannot unregister shared memory region 'r1', it is currently in use.", RegionBusy),
        ("UNAVAILABLE", "failed to connect to all addresses; Connection refused", ConnectionLost),
        ("CANCELLED", "Cancelled", ConnectionLost),
        ("503", "Server is stopping, scheduler has stopped accepting new requests", ConnectionLost),
        ("504", "status 504: <html> upstream timed out", ConnectionLost),
        ("INTERNAL", "model m: Received http2 header with status: 502", ModelError),
        ("UNAVAILABLE", "Request for unknown model: 'm' has no available versions", ModelError),
        ("404", "Request for unknown model: 'm' is not found", ModelError),
        ("500", "Failed to process the request(s) for model 'm', message: boom\n\nAt:\n  model.py(1)", ModelError),
        ("RESOURCE_EXHAUSTED", "Received message larger than max (5 vs. 4)", ServerError),
    ],
)
def test_answers_about_a_model(status: str, text: str, expected: type[ServerError]) -> None:
    error = refusal("inference of model m", "h:1", status, text, "model")
    assert type(error) is expected
    assert "inference of model m at h:1" in error.message
    assert "\n" not in str(error)


def test_answers_about_the_server() -> None:
    error = refusal("registering /x", "h:1", "INTERNAL", "Unable to open shared memory region: '/x'", "server")
    assert type(error) is ServerError
    assert "Unable to open shared memory region: '/x'" in error.message


def test_a_message_that_is_too_long_names_the_remedy() -> None:
    error = refusal("inference", "h:1", "RESOURCE_EXHAUSTED", "larger than max", "model")
    assert error.remedy is not None
    assert "system_shm" in error.remedy


@pytest.mark.parametrize("subject", ["model", "server"])
@pytest.mark.parametrize("before", ["", "a traceback " * 100])
def test_a_full_shared_memory_of_the_python_backend_names_the_remedy(subject: Subject, before: str) -> None:
    text = f"{before}Failed to increase the shared memory pool size for key 'k' to 67108864 bytes. No space left"
    error = refusal("inference of model m", "h:1", "INTERNAL", text, subject)
    assert isinstance(error, ModelError) is (subject == "model")
    assert error.exit_code == 4
    assert "/dev/shm (docker run --shm-size=" in (error.remedy or "")
    assert str(error).endswith(f"({error.remedy})")


def test_deadline_and_connection() -> None:
    late = deadline("inference of model m", "h:1", 2.5)
    assert isinstance(late, DeadlineError)
    assert late.message == "inference of model m at h:1 did not end within 2.5 s"
    lost = connection_lost("readiness", "h:1", ConnectionRefusedError(111, "Connection refused"))
    assert lost.message == "readiness at h:1: connection failed: [Errno 111] Connection refused"
    assert lost.exit_code == 4


def test_one_line() -> None:
    assert one_line("a\n\n  b\tc ") == "a b c"
    assert len(one_line("x" * 5000)) == 400
