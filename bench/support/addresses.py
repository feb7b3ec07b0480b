"""The addresses of a server, as the sides of a bench get them."""

from __future__ import annotations

from typing import NamedTuple

from gpu_infer.triton.local.serve import LocalServer


class Addresses(NamedTuple):
    """host:port of each protocol."""

    http: str
    grpc: str

    @classmethod
    def of(cls, server: LocalServer) -> Addresses:
        """Those of a server that runs."""
        return cls(server.http, server.grpc)

    def settings(self) -> dict[str, str]:
        """Overrides of `Settings` with both addresses, as `--triton local` has them: a run then takes HTTP."""
        return {"triton_http": self.http, "triton_grpc": self.grpc}
