"""Bodies of inference requests over HTTP, compared with those of tritonclient."""

from __future__ import annotations

import numpy as np
import pytest
import tritonclient.http as triton

from gpu_infer.triton.client.http_inference import inference_body
from gpu_infer.triton.client.protocol import InferRequest, RegionSlice

SHAPE = (2, 1, 3)
VOXELS = np.arange(6, dtype=np.float16).reshape(SHAPE)


def _of_tritonclient(request: InferRequest) -> tuple[bytes, int | None]:
    source = triton.InferInput(request.input_name, list(request.shape), request.datatype)
    sink = triton.InferRequestedOutput(request.output_name)
    if isinstance(request.source, RegionSlice):
        source.set_shared_memory(request.source.name, request.source.nbytes, request.source.offset)
    else:
        source.set_data_from_numpy(request.source)
    if request.sink is not None:
        sink.set_shared_memory(request.sink.name, request.sink.nbytes, request.sink.offset)
    body, header_length = triton.InferenceServerClient.generate_request_body([source], outputs=[sink])
    return bytes(body), header_length


@pytest.mark.parametrize("source", [VOXELS, VOXELS[::-1], RegionSlice("in", 0, 12), RegionSlice('i "n"\\', 4096, 12)])
@pytest.mark.parametrize("sink", [None, RegionSlice("out", 0, 24), RegionSlice("out", 512, 24)])
def test_a_body_has_the_bytes_of_tritonclient(
    source: np.ndarray[tuple[int, ...], np.dtype[np.float16]] | RegionSlice, sink: RegionSlice | None
) -> None:
    request = InferRequest("m", "1", "INPUT__0", "FP16", SHAPE, source, "OUTPUT__0", sink)
    assert inference_body(request) == _of_tritonclient(request)
