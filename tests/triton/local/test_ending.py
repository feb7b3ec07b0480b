"""A supervised server ends by itself if its owner is gone, and only then."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

from gpu_infer.triton.local import supervisor
from gpu_infer.triton.local.ending import is_ending


def test_a_server_ends_without_its_owner_alone(tmp_path: Path) -> None:
    script = tmp_path / "server.sh"
    script.write_text("#!/bin/sh\ntrap '' TERM\nwhile :; do sleep 0.1; done\n")  # as a server that is busy
    script.chmod(0o700)
    command = [sys.executable, supervisor.__file__, "server", str(tmp_path), "30", "", str(script)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        server = int(process.stdout.readline())
        try:
            time.sleep(0.3)  # until the script ignores SIGTERM
            assert not is_ending(server)
            process.stdin.close()  # as the owner's death does
            assert is_ending(server)
        finally:
            process.kill()  # which kills the server
    assert not is_ending(server)


def test_other_processes_do_not_end() -> None:
    assert not is_ending(os.getpid())
    assert not is_ending(1)
