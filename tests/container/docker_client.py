"""Stand-in for docker and nvidia-docker: passes its arguments, folder, environment and output to a `debian_engine`.

ENGINE_SOCKET is the engine's socket. The exit code is the one that the engine answers.
"""

from __future__ import annotations

import json
import os
import socket
import sys
from pathlib import Path


def main() -> int:
    call = {"arguments": sys.argv[1:], "folder": str(Path.cwd()), "env": dict(os.environ)}
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(os.environ["ENGINE_SOCKET"])
        socket.send_fds(connection, [b"\0"], [1, 2])
        connection.sendall(json.dumps(call).encode())
        connection.shutdown(socket.SHUT_WR)
        return connection.recv(1)[0]


if __name__ == "__main__":
    sys.exit(main())
