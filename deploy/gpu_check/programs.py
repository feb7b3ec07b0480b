"""Programs that steps of the GPU check run in separate processes; each prints JSON as its last line."""

from __future__ import annotations

COUNT_DEVICES = """
import ctypes
driver, count = ctypes.CDLL("libcuda.so.1"), ctypes.c_int()
print(0 if driver.cuInit(0) or driver.cuDeviceGetCount(ctypes.byref(count)) else count.value)
"""

NVRTC = """
import json
from cupy.cuda import nvrtc
print(json.dumps(nvrtc.getVersion()))
"""

DEVICE = """
import json, sys, time
from gpu_infer.backends.choose import choose_backend
from gpu_infer.backends.gpu.device.cupy_import import cupy
backend = choose_backend("gpu")
started = time.monotonic()
backend.warm_up()
spent = time.monotonic() - started
properties = cupy.cuda.runtime.getDeviceProperties(0)
print(json.dumps({
    "device": properties["name"].decode(),
    "compute_capability": f"{properties['major']}.{properties['minor']}",
    "memory_bytes": properties["totalGlobalMem"],
    "cuda_runtime": cupy.cuda.runtime.runtimeGetVersion(),
    "cuda_driver": cupy.cuda.runtime.driverGetVersion(),
    "nvrtc": list(cupy.cuda.nvrtc.getVersion()),
    "kernels_loaded_s": round(spent, 2),
    **{name: backend.counters()[name] for name in ("kernels_compiled", "modules_loaded")},
}))
"""

# The test compares a model's answer: a stub that does not fit NumPy returns empty tensors without an error.
SERVER = """
import json, sys, time
from pathlib import Path
import numpy as np, tritonclient.grpc as triton
from gpu_infer.triton.local.serve import LocalServer
started = time.monotonic()
with LocalServer(Path(sys.argv[1])) as server:
    ready = time.monotonic() - started
    x = np.linspace(0, 1, 4 * 16 ** 3, dtype=np.float32).reshape(1, 1, 16, 32, 32)
    request = triton.InferInput("NV_MODEL_INPUT", x.shape, "FP32")
    request.set_data_from_numpy(x)
    with triton.InferenceServerClient(server.grpc) as client:
        version = client.get_server_metadata().version
        answer = client.infer("threshold_half", [request]).as_numpy("NV_MODEL_OUTPUT")
assert answer is not None and answer.shape == (1, 2, 16, 32, 32), f"answered with {getattr(answer, 'shape', None)}"
assert (answer[:, 1:] == x).all(), "the model's answer is not what it computed"
print(json.dumps({"version": version, "ready_s": round(ready, 2)}))
"""
