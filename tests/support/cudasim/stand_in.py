"""The small part of CuPy that gpu_infer/backends/gpu uses, as one module object."""

from __future__ import annotations

import threading
from types import ModuleType, SimpleNamespace
from typing import Any

from cudasim import compiler, libraries, memory
from cudasim.arrays import asarray, from_dlpack, ndarray

_current = threading.local()


class Stream:
    """Work is done when it is queued, so that streams only have to be told apart."""

    _made = 0

    def __init__(self, null: bool = False, non_blocking: bool = False) -> None:
        if not null:
            Stream._made += 1
        self.ptr = 0 if null else Stream._made

    @classmethod
    def from_external(cls, other: Any) -> Stream:
        stream = object.__new__(cls)
        version, stream.ptr = other.__cuda_stream__()
        assert version == 0
        return stream

    def __enter__(self) -> Stream:
        _entered().append(self)
        return self.use()

    def __exit__(self, *error: object) -> None:
        """Back to the stream of the with statement around this one, whatever `use` made current in between: CuPy's."""
        _entered().pop()
        _entered()[-1].use()

    def use(self) -> Stream:
        _current.stream = self
        return self

    def wait_event(self, event: Event) -> None:
        assert event.recorded


class Event:
    def __init__(self, block: bool = False, disable_timing: bool = False) -> None:
        self.recorded = False

    def record(self, stream: Stream | None = None) -> None:
        self.recorded = True

    def synchronize(self) -> None:
        pass


class Device:
    compute_capability = "sim"

    def __init__(self, number: int) -> None:
        self.id = number

    def __enter__(self) -> Device:
        return self

    def __exit__(self, *error: object) -> None:
        pass


_null = Stream(null=True)


def _entered() -> list[Stream]:
    """Streams of the with statements around the caller, in this thread."""
    if not hasattr(_current, "entered"):
        _current.entered = [_null]
    entered: list[Stream] = _current.entered
    return entered


def get_current_stream() -> Stream:
    return getattr(_current, "stream", _null)


def module(devices: int = 1) -> Any:
    """A fresh `cupy`, with so many devices."""

    def count() -> int:
        if devices == 0:
            raise memory.CUDARuntimeError(100, "cudaErrorNoDevice: no CUDA-capable device is detected")
        return devices

    def device(number: int) -> Device:
        assert 0 <= number < devices
        return Device(number)

    def properties(number: int) -> dict[str, Any]:
        assert 0 <= number < devices
        return {"name": b"Simulated", "uuid": bytes(range(0x10 + number, 0x20 + number)), "multiProcessorCount": 4}

    cupy: Any = ModuleType("cupy")
    cupy.__version__ = "0 (simulated)"
    cupy.ndarray = ndarray
    cupy.asarray = asarray
    cupy.from_dlpack = from_dlpack
    cupy.cuda = SimpleNamespace(
        Device=device,
        Stream=Stream,
        Event=Event,
        get_current_stream=get_current_stream,
        Memory=memory.Memory,
        MemoryPointer=memory.MemoryPointer,
        MemoryPool=memory.MemoryPool,
        UnownedMemory=memory.UnownedMemory,
        using_allocator=libraries.using_allocator,
        alloc_pinned_memory=memory.pinned,
        memory=SimpleNamespace(OutOfMemoryError=memory.OutOfMemoryError),
        driver=SimpleNamespace(CUDADriverError=memory.CUDADriverError),
        function=SimpleNamespace(Module=compiler.Module),
        nvtx=SimpleNamespace(RangePush=lambda name: None, RangePop=lambda: None),
        nvrtc=SimpleNamespace(
            getVersion=compiler.get_version,
            createProgram=compiler.create_program,
            compileProgram=compiler.compile_program,
            getCUBIN=lambda program: program.library,
            getProgramLog=lambda program: program.log,
            destroyProgram=lambda program: None,
            NVRTCError=compiler.NVRTCError,
        ),
        runtime=SimpleNamespace(
            CUDARuntimeError=memory.CUDARuntimeError,
            getDeviceCount=count,
            getDevice=lambda: 0,
            getDeviceProperties=properties,
            deviceGetPCIBusId=lambda number: f"0000:{0x3B + number:02X}:00.0",
            memGetInfo=memory.mem_get_info,
            malloc=memory.malloc,
            free=memory.free,
            ipcGetMemHandle=memory.ipc_handle,
            memcpyAsync=memory.memcpy,
            memcpyHostToDevice=1,
            memcpyDeviceToHost=2,
        ),
    )
    return cupy
