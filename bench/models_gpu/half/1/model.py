"""bench/models/half on the GPU: two scores per voxel, 0.5 and the voxel itself; tensors stay on the device."""

import cupy
import numpy as np
import triton_python_backend_utils as pb_utils

# Stubs built against NumPy 1 exchange EMPTY arrays with NumPy 2, without an error; DLPack works there.
DLPACK = int(np.__version__.split(".")[0]) >= 2


def to_device(tensor):
    if not tensor.is_cpu():
        return cupy.from_dlpack(tensor)  # the very memory
    return cupy.asarray(np.from_dlpack(tensor) if DLPACK else tensor.as_numpy())


def to_tensor(name, array):
    cupy.cuda.get_current_stream().synchronize()  # the server copies on another stream
    return pb_utils.Tensor.from_dlpack(name, array)


class TritonPythonModel:
    def initialize(self, args):
        cupy.cuda.Device(int(args["model_instance_device_id"])).use()
        self.scores = None

    def execute(self, requests):
        return [self.answer(request) for request in requests]

    def answer(self, request):
        x = to_device(pb_utils.get_input_tensor_by_name(request, "NV_MODEL_INPUT"))
        shape = (x.shape[0], 2, *x.shape[2:])
        if self.scores is None or self.scores.shape != shape:
            self.scores = cupy.full(shape, 0.5, cupy.float32)
        self.scores[:, 1:] = x
        return pb_utils.InferenceResponse([to_tensor("NV_MODEL_OUTPUT", self.scores)])
