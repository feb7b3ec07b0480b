"""An output that a request names shared memory for, but that comes with the answer: the memory has older values."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest
from tritonclient.grpc import service_pb2

from gpu_infer.triton.client.answers import Malformed, json_reply
from gpu_infer.triton.client.grpc_messages import read_reply
from gpu_infer.triton.client.protocol import InferReply

REPLY = InferReply((1, 2), "FP32", None)
OUTPUT = {"name": "OUT", "datatype": "FP32", "shape": [1, 2]}
OTHER = {"name": "OTHER", "datatype": "FP32", "shape": [1, 2], "parameters": {"binary_data_size": 8}}


def of_json(*outputs: dict[str, object], content: bytes = b"") -> InferReply:
    header = json.dumps({"outputs": outputs}).encode()
    return json_reply(header + content, len(header), "OUT", inline=False)


def of_message(*contents: bytes) -> InferReply:
    output = service_pb2.ModelInferResponse.InferOutputTensor
    outputs = [output(name=name, datatype="FP32", shape=[1, 2]) for name in ("OUT", "OTHER")]
    return read_reply("OUT", False, service_pb2.ModelInferResponse(outputs=outputs, raw_output_contents=contents))


@pytest.mark.parametrize(
    "read",
    [
        lambda: of_json(OUTPUT | {"parameters": {"binary_data_size": 8}}, content=b"12345678"),
        lambda: of_json(OTHER, OUTPUT | {"parameters": {"binary_data_size": 8}}, content=b"1234567812345678"),
        lambda: of_json(OUTPUT | {"data": [0.5, 1.5]}),
        lambda: of_message(b"12345678"),
        lambda: of_message(b"12345678", b""),
    ],
)
def test_an_output_in_the_answer_is_refused(read: Callable[[], InferReply]) -> None:
    with pytest.raises(Malformed, match=r"output OUT came with the answer, expected it in shared memory"):
        read()


@pytest.mark.parametrize(
    "read",
    [
        lambda: of_json(OUTPUT),
        lambda: of_json(OUTPUT | {"parameters": {"shared_memory_region": "r", "binary_data_size": 0}}),
        lambda: of_json(OTHER, OUTPUT, content=b"12345678"),
        lambda: of_message(),
        lambda: of_message(b"", b""),
        lambda: of_message(b"", b"12345678"),
    ],
)
def test_other_outputs_may_come_with_it(read: Callable[[], InferReply]) -> None:
    assert read() == REPLY
