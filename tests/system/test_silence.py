"""Records of a silenced library appear nowhere, and appear again afterwards."""

from __future__ import annotations

import logging

import pytest

from gpu_infer.system.silence import silence


def test_records_of_a_library_are_dropped_during_the_block(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG):
        with silence("some_library"):
            logging.getLogger("some_library.part").critical("inside")
        logging.getLogger("some_library.part").info("after")
    assert [record.getMessage() for record in caplog.records] == ["after"]
