"""The server's time in a model, by Triton's statistics."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class ServerSeconds:
    """Seconds of copying a model's input, computing, and copying its output."""

    input: float
    infer: float
    output: float

    def __sub__(self, other: ServerSeconds) -> ServerSeconds:
        return ServerSeconds(self.input - other.input, self.infer - other.infer, self.output - other.output)


def server_seconds(url: str, model: str) -> ServerSeconds:
    """Time of the server at the gRPC address `url` in the model so far."""
    import tritonclient.grpc as triton

    with triton.InferenceServerClient(url) as client:
        statistics = [s.inference_stats for s in client.get_inference_statistics(model).model_stats]
    counted = ("compute_input", "compute_infer", "compute_output")
    return ServerSeconds(*(sum(getattr(s, name).ns for s in statistics) / 1e9 for name in counted))
