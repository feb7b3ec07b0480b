"""Triton's backend `pytorch` for the local Triton, which has no PyTorch: it refuses the model in words."""

import triton_python_backend_utils as pb_utils


class TritonPythonModel:
    @staticmethod
    def auto_complete_config(config):
        return config

    def initialize(self, args):
        raise pb_utils.TritonModelException(
            f"the local Triton does not run TorchScript: export {args['model_name']} to ONNX, or use a stock Triton"
        )
