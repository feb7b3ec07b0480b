"""The body of an inference request over HTTP, byte by byte that of tritonclient.

JSON, then the voxels of an input that is not in a region:
https://github.com/triton-inference-server/server/blob/main/docs/protocol/extension_binary_data.md and
extension_shared_memory.md there.
"""

from __future__ import annotations

import json
from typing import Any

import numpy as np

from gpu_infer.triton.client.protocol import InferRequest, RegionSlice


def inference_body(request: InferRequest) -> tuple[bytes, int | None]:
    """The body, and the bytes of its JSON; None if it is all JSON."""
    source: dict[str, Any] = {
        "name": request.input_name,
        "shape": [int(n) for n in request.shape],
        "datatype": request.datatype,
    }
    voxels = b""
    if isinstance(request.source, RegionSlice):
        source["parameters"] = _in_region(request.source)
    else:
        assert request.source.shape == tuple(request.shape)
        voxels = np.ascontiguousarray(request.source).tobytes()
        source["parameters"] = {"binary_data_size": len(voxels)}
    in_region = {} if request.sink is None else _in_region(request.sink)
    sink = {"name": request.output_name, "parameters": {"binary_data": request.sink is None, **in_region}}
    header = json.dumps({"inputs": [source], "outputs": [sink]}, separators=(",", ":")).encode()
    if isinstance(request.source, RegionSlice):
        return header, None
    return header + voxels, len(header)


def _in_region(place: RegionSlice) -> dict[str, Any]:
    parameters: dict[str, Any] = {"shared_memory_region": place.name, "shared_memory_byte_size": place.nbytes}
    return parameters | ({"shared_memory_offset": place.offset} if place.offset else {})
