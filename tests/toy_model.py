"""The one Python-backend model behind every folder of tests/models (each `1/model.py` links to this file).

It runs inside Triton's own environment. The `parameters` of config.pbtxt choose what it does:

rule     how scores [K, X, Y, Z] come from an input [C, X, Y, Z] with x = channel 0
         threshold  K=2: 0.5 and x, so argmax is 1 exactly where x > 0.5
         identity   K=C: the input itself
         nearest    K classes: −|x − k|, so argmax is x rounded to the nearest class
         last       K classes: channel 0 is 0.5, channel K−1 is x, the others −1
         extra      threshold, and a second output with x
         nan        threshold, with NaN instead of x where x > 0.9
         places     K=3: 0.5, x plus 0.01·i − 0.02·j (+ 0.03·k) of the index in the tensor, and 1 − x; x is here the sum
                    of (c + 1) times channel c, so that the order of axes and channels matters
         labels     K=1: the argmax of places, without an axis of channels if the output has one dim less than the input
classes  K of nearest and last
layout   first (default) or last: where the channel axis is
delay_s  sleep that long in each execute
sleeps_once  a first voxel above 1 is a number of seconds: sleep that long the first time that any instance meets it
fails    raise in execute
lies     leave the last slice of the answer out
"""

import json
import os
import time

import numpy as np
import triton_python_backend_utils as pb_utils

# Stubs built against NumPy 1 exchange EMPTY arrays with NumPy 2, without an error; DLPack works there. With NumPy 1 it
# is the other way round: Tensor.from_dlpack of an array ends the stub.
DLPACK = int(np.__version__.split(".")[0]) >= 2


def to_numpy(tensor):
    return np.from_dlpack(tensor) if DLPACK else tensor.as_numpy()


def to_tensor(name, array):
    return pb_utils.Tensor.from_dlpack(name, array) if DLPACK else pb_utils.Tensor(name, array)


def scores(rule, x, classes):
    """x [N, C, X, Y, Z] float32 → [N, K, X, Y, Z] float32."""
    first = x[:, :1]
    if rule == "identity":
        return x
    if rule == "nearest":
        return -np.abs(first - np.arange(classes, dtype=np.float32).reshape(1, -1, *[1] * (x.ndim - 2)))
    if rule == "places":
        return places(x)
    if rule == "labels":
        return places(x).argmax(1)[:, None]
    if rule == "nan":
        first = np.where(first > 0.9, np.float32(np.nan), first)
        return np.concatenate([np.full_like(first, 0.5), first], axis=1)
    if rule == "last":
        out = np.full((x.shape[0], classes, *x.shape[2:]), -1, np.float32)
        out[:, 0] = 0.5
        out[:, -1:] = first
        return out
    return np.concatenate([np.full_like(first, 0.5), first], axis=1)


def places(x):
    """x [N, C, …] float32 → [N, 3, …] float32, see the rule."""
    mixed = np.zeros_like(x[:, :1])
    for c in range(x.shape[1]):
        mixed += np.float32(c + 1) * x[:, c : c + 1]
    ramp = np.zeros(x.shape[2:], np.float32)
    for axis, n in enumerate(x.shape[2:]):
        shape = [1] * ramp.ndim
        shape[axis] = n
        ramp += np.float32((0.01, -0.02, 0.03)[axis]) * np.arange(n, dtype=np.float32).reshape(shape)
    return np.concatenate([np.full_like(mixed, 0.5), mixed + ramp, 1 - mixed], axis=1)


class TritonPythonModel:
    def initialize(self, args):
        config = json.loads(args["model_config"])
        said = {key: value["string_value"] for key, value in config["parameters"].items()}
        self.rule = said.get("rule", "threshold")
        self.classes = int(said.get("classes", 2))
        self.delay = float(said.get("delay_s", 0))
        self.fails = said.get("fails") == "true"
        self.sleeps_once = said.get("sleeps_once") == "true"
        self.folder = args["model_repository"]
        self.lies = said.get("lies") == "true"
        self.channels_last = said.get("layout") == "last"
        self.no_channels = len(config["output"][0]["dims"]) < len(config["input"][0]["dims"])
        self.batched = config["max_batch_size"] > 0
        self.dtype = pb_utils.triton_string_to_numpy(config["output"][0]["data_type"])

    def execute(self, requests):
        if self.fails:
            raise pb_utils.TritonModelException("this model always fails")
        time.sleep(self.delay * len(requests))
        return [self.answer(request) for request in requests]

    def answer(self, request):
        x = to_numpy(pb_utils.get_input_tensor_by_name(request, "NV_MODEL_INPUT")).astype(np.float32)
        x = x if self.batched else x[None]
        if self.sleeps_once:
            self.sleep_once(float(x.flat[0]))
        if self.channels_last:
            x = np.moveaxis(x, -1, 1)
        out = scores(self.rule, x, self.classes)
        if self.no_channels:
            out = out[:, 0]
        if self.lies:
            out = out[..., :-1]
        if self.channels_last:
            out = np.moveaxis(out, 1, -1)
        tensors = [self.tensor("NV_MODEL_OUTPUT", out)]
        if self.rule == "extra":
            tensors.append(self.tensor("NV_MODEL_EXTRA", x))
        return pb_utils.InferenceResponse(output_tensors=tensors)

    def sleep_once(self, seconds):
        """Instances are processes: a file tells them what another one has met."""
        if seconds > 1:
            try:
                os.close(os.open(f"{self.folder}/slept-{seconds:.6f}", os.O_CREAT | os.O_EXCL))
            except FileExistsError:
                return
            time.sleep(seconds)

    def tensor(self, name, values):
        values = values if self.batched else values[0]
        return to_tensor(name, np.ascontiguousarray(values, self.dtype))
