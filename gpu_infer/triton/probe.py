"""The number of a model's output channels, from one request if its metadata do not name it."""

from __future__ import annotations

import numpy as np

from gpu_infer.errors import DeadlineError, ModelError
from gpu_infer.triton.client.failures import RAISE_DEADLINE, with_option
from gpu_infer.triton.client.protocol import LONGEST_S, InferRequest
from gpu_infer.triton.model.fit import check_fit, split_dims, tensor_shape
from gpu_infer.triton.model.info import ModelInfo
from gpu_infer.triton.transport import Transport


def probe_output_channels(
    transport: Transport,
    model: ModelInfo,
    window: tuple[int, int, int],
    channels_in: int,
    *,
    channels_last: bool = False,
    deadline_s: float = 600.0,
) -> int:
    """K of the model's output [N, K, R0, R1, R2], from its metadata or the reply to one inline request of zeros.

    Raises ModelError if the model does not fit, or if its output differs from its input in more than the channels.
    """
    check_fit(model, channels_in, window, channels_last=channels_last)
    known, _ = split_dims(model.output.dims, channels_last)
    if known != -1:
        return known
    shape = tensor_shape(channels_in, window, channels_last)
    if model.batch_axis == "leading":
        shape = (model.max_batch if model.fixed_batch else 1, *shape)
    client = transport.client()
    try:
        reply = client.infer(
            InferRequest(
                model=model.name,
                version=model.version,
                input_name=model.input.name,
                datatype=model.input.datatype,
                shape=shape,
                source=np.zeros(shape, model.input.dtype),
                output_name=model.output.name,
            ),
            min(deadline_s, LONGEST_S),
        )
    except DeadlineError as error:
        raise with_option(error, RAISE_DEADLINE) from error
    finally:
        client.close()
    channels = split_dims(reply.shape[-4:], channels_last)[0] if len(reply.shape) == len(shape) else 0
    lead = shape[:-4]
    if channels < 1 or reply.shape != (*lead, *tensor_shape(channels, window, channels_last)):
        raise ModelError(
            f"model {model.name} answered {model.output.name} as {list(reply.shape)} to an input of {list(shape)}",
            remedy="only models whose output has the size of their input can be used",
        )
    return channels
