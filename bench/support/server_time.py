"""What Triton's statistics say that a model has cost the server."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class ServerSeconds:
    """Copying a model's input together, computing, copying its output away."""

    input: float
    infer: float
    output: float

    def __sub__(self, other: ServerSeconds) -> ServerSeconds:
        return ServerSeconds(self.input - other.input, self.infer - other.infer, self.output - other.output)


def server_seconds(url: str, model: str) -> ServerSeconds:
    """What the server at the gRPC address `url` has spent on the model so far."""
    import tritonclient.grpc as triton

    with triton.InferenceServerClient(url) as client:
        found = [s.inference_stats for s in client.get_inference_statistics(model).model_stats]
    counted = ("compute_input", "compute_infer", "compute_output")
    return ServerSeconds(*(sum(getattr(s, name).ns for s in found) / 1e9 for name in counted))
