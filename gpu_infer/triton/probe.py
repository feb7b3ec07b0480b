"""The number of a model's output channels, from one request if its metadata do not name it."""

from __future__ import annotations

import numpy as np

from gpu_infer.errors import DeadlineError, ModelError
from gpu_infer.triton.client.failures import RAISE_DEADLINE, with_option
from gpu_infer.triton.client.protocol import LONGEST_S, InferRequest
from gpu_infer.triton.model.fit import check_fit
from gpu_infer.triton.model.info import ModelInfo
from gpu_infer.triton.model.layout import CHANNELS_FIRST, TensorLayout
from gpu_infer.triton.transport import Transport


def probe_output_channels(
    transport: Transport,
    model: ModelInfo,
    window: tuple[int, int, int],
    channels_in: int,
    *,
    layout: TensorLayout = CHANNELS_FIRST,
    deadline_s: float = 600.0,
) -> int:
    """K of the model's output [N, K, R0, R1, R2], from its metadata or the reply to one inline request of zeros.

    Raises ModelError if the model does not fit, or if its output differs from its input in more than the channels.
    """
    check_fit(model, channels_in, window, layout)
    known, _ = layout.split_dims(model.output.dims)
    if known != -1:
        return known
    shape = layout.tensor_shape(channels_in, window)
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
    channels = layout.split_dims(reply.shape[-layout.rank :])[0] if len(reply.shape) == len(shape) else 0
    lead = shape[: -layout.rank]
    if channels < 1 or reply.shape != (*lead, *layout.tensor_shape(channels, window)):
        raise ModelError(
            f"model {model.name} answered {model.output.name} as {list(reply.shape)} to an input of {list(shape)}",
            remedy="only models whose output has the size of their input can be used",
        )
    return channels
