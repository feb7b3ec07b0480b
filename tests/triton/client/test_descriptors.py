"""Free file descriptors before a connection."""

from __future__ import annotations

import os
import resource

import pytest

from gpu_infer.errors import ResourceError
from gpu_infer.triton.client.descriptors import NEEDED, check_descriptors


def test_too_few_are_an_error_with_a_remedy() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    highest = max(int(name) for name in os.listdir("/proc/self/fd"))  # noqa: PTH208
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (highest + 1000, hard))
        check_descriptors()
        in_use = len(os.listdir("/proc/self/fd")) - 1  # noqa: PTH208
        resource.setrlimit(resource.RLIMIT_NOFILE, (in_use + NEEDED - 1, hard))
        with pytest.raises(ResourceError, match=f"{NEEDED - 1} more files may be opened") as caught:
            check_descriptors()
        assert "ulimit -n" in (caught.value.remedy or "")
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
