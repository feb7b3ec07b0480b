"""Triton's backend `onnxruntime` for the local Triton, in Python: serves 1/model.onnx with the names of its graph.

`parameters` of config.pbtxt: intra_op_thread_count (as for the stock backend) limits the threads, 0: all cores; the
environment variable MODEL_THREADS overrides it. CUDA is used if onnxruntime has it and the instance is not KIND_CPU.
"""

import json
import os
from pathlib import Path

import numpy as np
import triton_python_backend_utils as pb_utils


class TritonPythonModel:
    @staticmethod
    def auto_complete_config(config):
        return config

    def initialize(self, args):
        try:
            import onnxruntime
        except ImportError as error:
            raise pb_utils.TritonModelException(
                f"the server's Python has no onnxruntime ({error}): pip install onnxruntime"
            ) from error
        config = json.loads(args["model_config"])
        values = {key: value["string_value"] for key, value in config.get("parameters", {}).items()}
        folder = Path(args["model_repository"], args["model_version"])
        path = folder / (config.get("default_model_filename") or "model.onnx")
        if not path.is_file():
            raise pb_utils.TritonModelException(f"{path} not found")
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = int(os.environ.get("MODEL_THREADS") or values.get("intra_op_thread_count") or 0)
        # Idle threads would otherwise spin on cores that the client needs between two requests.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        providers = ["CPUExecutionProvider"]
        on_cpu = any(group.get("kind") == "KIND_CPU" for group in config.get("instance_group", []))
        if "CUDAExecutionProvider" in onnxruntime.get_available_providers() and not on_cpu:
            device = int(args.get("model_instance_device_id") or 0)
            providers.insert(0, ("CUDAExecutionProvider", {"device_id": device}))
        try:
            self.session = onnxruntime.InferenceSession(str(path), options, providers=providers)
        except Exception as error:
            words = " ".join(str(error).split())
            raise pb_utils.TritonModelException(f"onnxruntime {onnxruntime.__version__}: {words}") from error
        accelerators = config.get("optimization", {}).get("execution_accelerators", {})
        names = [item["name"] for group in accelerators.values() for item in group]
        if names:
            pb_utils.Logger.log_warn(f"the local Triton has no accelerator {', '.join(names)}: served without it")
        self.batched = config["max_batch_size"] > 0
        self.outputs = [output["name"] for output in config["output"]]
        self.inputs = [value.name for value in self.session.get_inputs()]
        self.check_names(config)
        pb_utils.Logger.log_info(f"{path.name} on {self.session.get_providers()[0]}")

    def check_names(self, config):
        """Raise TritonModelException if config.pbtxt names tensors that the graph does not have."""
        for role, named, graph in (
            ("input", [value["name"] for value in config["input"]], self.inputs),
            ("output", self.outputs, [value.name for value in self.session.get_outputs()]),
        ):
            unknown = [name for name in named if name not in graph]
            if unknown:
                raise pb_utils.TritonModelException(
                    f"config.pbtxt names the {role} {unknown[0]!r}, the graph has: {', '.join(graph)}"
                )

    def execute(self, requests):
        return [self.answer(request) for request in requests]

    def answer(self, request):
        tensors = {tensor.name(): tensor.as_numpy() for tensor in request.inputs()}
        requested = [name for name in self.outputs if name in set(request.requested_output_names())]
        try:
            scores = self.scores(requested, tensors)
        except Exception as error:
            words = " ".join(str(error).split())
            return pb_utils.InferenceResponse(error=pb_utils.TritonError(f"onnxruntime: {words}"))
        return pb_utils.InferenceResponse([pb_utils.Tensor(*pair) for pair in zip(requested, scores, strict=True)])

    def scores(self, names, tensors):
        """The requested outputs. Window by window: less memory, and scores that do not depend on the batch."""
        windows = len(next(iter(tensors.values()))) if self.batched else 1
        if windows == 1:
            return self.session.run(names, tensors)
        parts = [self.session.run(names, {name: x[n : n + 1] for name, x in tensors.items()}) for n in range(windows)]
        return [np.concatenate(arrays) for arrays in zip(*parts, strict=True)]

    def finalize(self):
        self.session = None
