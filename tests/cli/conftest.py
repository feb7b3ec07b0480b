"""What every test of the command line needs."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest


@pytest.fixture(autouse=True)
def _closed_log_files() -> Iterator[None]:
    """Close the handlers that a test adds: their files would warn when they are collected, in another test."""
    loggers = [logging.getLogger(name) for name in ("", "gpu_infer")]
    before = [(logger.handlers[:], logger.level) for logger in loggers]
    yield
    for logger, (handlers, level) in zip(loggers, before, strict=True):
        for handler in set(logger.handlers) - set(handlers):
            handler.close()
        logger.handlers[:] = handlers
        logger.setLevel(level)
