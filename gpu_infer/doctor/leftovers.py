"""Find and remove shared memory of killed runs, here and on the server."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

from gpu_infer.doctor.check import Check, failure
from gpu_infer.errors import GpuInferError

if TYPE_CHECKING:
    from gpu_infer.triton.client.protocol import TritonClient
    from gpu_infer.triton.client.server import Server
    from gpu_infer.triton.shm.leftovers import Leftover


def check_leftovers(server: Server | None, clean: bool) -> list[Check]:
    """Segments of dead processes in /dev/shm, and regions of theirs that the server still holds."""
    from gpu_infer.triton.shm.leftovers import find_leftovers
    from gpu_infer.triton.shm.segment_users import foreign_segments

    client = server.client() if server is not None else None
    try:
        leftovers = find_leftovers(client)
        foreign = foreign_segments()
        if not leftovers and not foreign:
            return [Check("leftovers", "ok", "none")]
        if not leftovers:
            listed = ", ".join(map(str, foreign))
            return [Check("leftovers", "ok", f"none of this user; of others, whose runs may live: {listed}")]
        listed = ", ".join(str(item) for item in leftovers)
        if not clean:
            return [Check("leftovers", "warn", listed, "gpu-infer doctor --clean removes them")]
        if client is None:
            # Their regions may still be registered; without the files nothing could find them any more.
            remedy = "start the server, or name it with --triton (local if the run did), and --clean again"
            return [Check("leftovers", "warn", f"not removed, no server to ask about them: {listed}", remedy)]
        return clean_leftovers(leftovers, client)
    except GpuInferError as error:
        return [failure("leftovers", error)]
    except OSError as error:
        return [Check("leftovers", "fail", str(error), "delete the file as its owner or as root", 5)]
    finally:
        if client is not None:
            client.close()


def clean_leftovers(leftovers: Sequence[Leftover], client: TritonClient) -> list[Check]:
    """Remove what no server needs any more.

    A segment that the server of `client` does not know but a process maps is registered with another server: that one
    must be asked, and finds its region by the segment alone. The local server of a killed run ends by itself, and is
    waited for.
    """
    from gpu_infer.triton.local.ending import ENDS_WITHIN_S
    from gpu_infer.triton.shm.leftovers import clean

    until = time.monotonic() + ENDS_WITHIN_S
    while True:
        users = _users(leftovers)
        ending = _are_ending(users)
        # a server may have ended after the first look: the same users twice, and none of them ends
        if not ending and users == (users := _users(leftovers)):
            break
        if time.monotonic() > until:
            break
        time.sleep(0.1)
    removable = [item for item in leftovers if not users[item.name]]
    used = [f"{item}, used by process {', '.join(users[item.name])}" for item in leftovers if users[item.name]]
    clean(removable, client)
    checks = [Check("leftovers", "ok", f"removed: {', '.join(map(str, removable))}")] if removable else []
    if used:
        remedy = (
            "the local server of a killed run ends by itself within a minute: --clean again"
            if ending
            else "name the server that this process is with --triton, and --clean again"
        )
        checks.append(Check("leftovers", "warn", f"not removed, unknown to {client.url}: {'; '.join(used)}", remedy))
    return checks


def _users(leftovers: Sequence[Leftover]) -> dict[str, list[str]]:
    """Processes that use each segment that the server does not know, see `segment_users.mapped_by`."""
    from gpu_infer.triton.shm.segment_users import mapped_by

    return {item.name: mapped_by(item.path) if item.region is None else [] for item in leftovers}


def _are_ending(users: dict[str, list[str]]) -> bool:
    """Whether one of the processes is a local server that ends by itself."""
    from gpu_infer.triton.local.ending import is_ending

    return any(is_ending(int(user.split()[0])) for names in users.values() for user in names)
