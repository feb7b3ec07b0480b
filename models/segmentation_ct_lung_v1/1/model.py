"""Python backend over onnxruntime: NV_MODEL_INPUT [N, 1, X, Y, Z] → NV_MODEL_OUTPUT [N, 2, X, Y, Z]."""

import json
import os
from pathlib import Path

import numpy as np
import triton_python_backend_utils as pb_utils

# In this order, as far as the installed onnxruntime has them; the last one always does.
PROVIDERS = ("CUDAExecutionProvider", "CPUExecutionProvider")

# Stubs built against NumPy 1 exchange EMPTY arrays with NumPy 2, without an error; DLPack works there. With
# NumPy 1 it is the other way round: Tensor.from_dlpack of an array ends the stub.
DLPACK = int(np.__version__.split(".")[0]) >= 2


def to_numpy(tensor):
    return np.from_dlpack(tensor) if DLPACK else tensor.as_numpy()


def to_tensor(name, array):
    return pb_utils.Tensor.from_dlpack(name, array) if DLPACK else pb_utils.Tensor(name, array)


class TritonPythonModel:
    def initialize(self, args):
        try:
            import onnxruntime
        except ImportError as error:
            raise pb_utils.TritonModelException(
                f"the server's Python has no onnxruntime ({error}): pip install onnxruntime"
            ) from error
        config = json.loads(args["model_config"])
        said = {key: value["string_value"] for key, value in config.get("parameters", {}).items()}
        path = Path(args["model_repository"], args["model_version"], said.get("file", "model.onnx"))
        if not path.is_file():
            raise pb_utils.TritonModelException(f"{path} not found: see 'file' in config.pbtxt")
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = int(os.environ.get("MODEL_THREADS") or said.get("threads", 0))
        # Idle threads would otherwise spin on cores that the client needs between two requests.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        available = onnxruntime.get_available_providers()
        providers = [name for name in PROVIDERS if name in available]
        self.session = onnxruntime.InferenceSession(str(path), options, providers=providers)
        pb_utils.Logger.log_info(f"{path.name} on {self.session.get_providers()[0]}")

    def execute(self, requests):
        return [self.answer(request) for request in requests]

    def answer(self, request):
        x = to_numpy(pb_utils.get_input_tensor_by_name(request, "NV_MODEL_INPUT"))
        # Window by window: half the memory of a batch of two, and scores that do not depend on the batch.
        scores = [self.session.run(["NV_MODEL_OUTPUT"], {"NV_MODEL_INPUT": x[n : n + 1]})[0] for n in range(len(x))]
        out = to_tensor("NV_MODEL_OUTPUT", scores[0] if len(scores) == 1 else np.concatenate(scores))
        return pb_utils.InferenceResponse([out])

    def finalize(self):
        self.session = None
