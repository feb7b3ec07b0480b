"""Memory, copies, counters and compiled kernels of the GPU backend, on simulated CUDA."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cudasim import memory as device
from cudasim.simulated import simulated_cupy

from gpu_infer.backends.gpu.compile.source import MODULES, OPTIONS, compile_options, cubin_name, kernel_source
from gpu_infer.backends.resampling import identity_table
from gpu_infer.backends.tables import ClampedAffine
from gpu_infer.errors import ConfigError, ResourceError

MIB = 1 << 20


@pytest.fixture
def gpu() -> Iterator[Any]:
    with simulated_cupy() as module:
        yield module.GpuBackend()


@pytest.mark.parametrize("dtype", ["u1", ">i2", "f2", "f8"])
def test_values_dtype_byte_order_and_strides_go_up(gpu: Any, dtype: str) -> None:
    host = np.arange(7 * 5 * 6).reshape(7, 5, 6).astype(dtype).transpose(2, 0, 1)[::-1, :, ::-1]
    array = gpu.upload(host)
    assert (array.shape, array.dtype.str, array.strides) == (host.shape, host.dtype.str, host.strides)
    back = gpu.download(array)
    assert (back.dtype.str, back.strides) == (host.dtype.str, host.strides)
    np.testing.assert_array_equal(back, host)


def test_gaps_do_not_go_up_or_down(gpu: Any) -> None:
    whole = np.arange(4 * 9 * 10 * 11, dtype=np.int32).reshape(4, 9, 10, 11)
    view = whole[:, ::2, 1:-1, ::3]
    array = gpu.upload(view)
    assert gpu.counters()["bytes_up"] == view.nbytes
    part = array[1:, :, ::-2, 1]
    np.testing.assert_array_equal(gpu.download(part), view[1:, :, ::-2, 1])
    assert gpu.counters()["bytes_down"] == part.nbytes
    deep = gpu.upload(whole.reshape(2, 2, 9, 10, 11))[:, :, 1::2, :, ::2]
    np.testing.assert_array_equal(gpu.download(deep), whole.reshape(2, 2, 9, 10, 11)[:, :, 1::2, :, ::2])


def test_copies_longer_than_the_pinned_buffer(gpu: Any) -> None:
    host = np.random.default_rng(0).integers(0, 255, (3, 7, 2 * MIB + 13), np.uint8)  # three halves and a bit
    np.testing.assert_array_equal(gpu.download(gpu.upload(host)), host)


def test_empty_arrays(gpu: Any) -> None:
    for shape in ((0,), (3, 0, 2)):
        assert gpu.download(gpu.upload(np.zeros(shape, np.float32))).shape == shape


@pytest.mark.parametrize("last", [False, True])
def test_host_slots_are_counted_apart(gpu: Any, last: bool) -> None:
    """A slot in host memory, with channels first or last in memory, is written through and read back."""
    volume = np.random.default_rng(1).normal(size=(2, 6, 7, 8)).astype(np.float32)
    memory = np.zeros((3, 4, 4, 4, 2) if last else (3, 2, 4, 4, 4), np.float32)
    slot = memory.transpose(0, 4, 1, 2, 3) if last else memory
    gpu.gather(gpu.upload(volume), [(0, 1, 2), (2, 3, 4)], slot, 0.0)
    np.testing.assert_array_equal(slot[0], volume[:, :4, 1:5, 2:6])
    np.testing.assert_array_equal(slot[1], volume[:, 2:, 3:, 4:])
    assert not slot[2].any()
    counted = gpu.counters()
    assert counted["tile_bytes_down"] == 2 * 2 * 64 * 4
    assert counted["bytes_down"] == 0


def test_a_slot_with_gaps_is_written_too(gpu: Any) -> None:
    memory = np.full((1, 1, 4, 4, 8), 9.0, np.float32)
    gpu.gather(gpu.zeros((1, 6, 6, 6), np.float32), [(0, 0, 0)], memory[..., ::2], 0.0)
    assert not memory[..., ::2].any()
    assert (memory[..., 1::2] == 9.0).all()


def test_memory_of_one_case_serves_the_next(gpu: Any) -> None:
    def case(shape: tuple[int, int, int]) -> None:
        out = gpu.empty((1, *shape), np.float32)
        gpu.resample(gpu.upload(np.zeros((1, *shape), np.int16)), out, None, ClampedAffine(), ClampedAffine())
        block = gpu.device_arena(3 * MIB)
        block.view(0, shape, np.float32)
        block.close()

    case((40, 50, 60))
    before = gpu.counters()
    for shape in ((60, 40, 50), (90, 90, 90), (7, 300, 20)):
        case(shape)
    after = gpu.counters()
    assert before["allocations"] == after["allocations"] == 2  # the pool's first piece, and the block
    assert before["modules_loaded"] == after["modules_loaded"]


def test_reserved_memory_is_one_allocation(gpu: Any) -> None:
    gpu.reserve(700 * MIB)
    assert gpu.counters()["allocations"] == 1
    held = [gpu.empty((100 * MIB,), np.uint8) for _ in range(6)]
    assert gpu.counters()["allocations"] == 1
    assert len(held) == 6
    gpu.reserve(1 << 50)  # more than there is: nothing happens
    assert gpu.counters()["allocations"] == 1


def test_where_memory_is_short_an_array_leaves_no_gap(gpu: Any) -> None:
    """4 GiB in all of 6 are planned, 1 GiB of it a block: what the upload leaves must serve the smaller sums and the
    block, which it could not as part of a piece that both share."""
    gpu.reserve(4 << 30, beside=1 << 30)
    uploaded = gpu.empty((2 << 30,), np.uint8)
    tables = [gpu.empty((1000,), np.float32) for _ in range(20)]
    prepared = gpu.empty((2 << 30,), np.uint8)
    del uploaded
    sums = gpu.empty((3 << 29,), np.uint8)
    allocations = gpu.counters()["allocations"]
    scratch = gpu.empty((200 * MIB,), np.uint8)
    del scratch
    scratch = gpu.empty((200 * MIB,), np.uint8)
    assert gpu.counters()["allocations"] == allocations + 1  # of one size, again and again: taken once
    assert gpu.device_arena(2 << 30).nbytes == 2 << 30
    assert len(tables) == 20
    assert prepared.nbytes + sums.nbytes + scratch.nbytes < 4 << 30


def test_ample_memory_is_one_piece_again(gpu: Any) -> None:
    gpu.reserve(4 << 30)
    assert gpu.counters()["allocations"] == 1  # the piece of small arrays
    gpu.reserve(1 << 30)
    assert gpu.counters()["allocations"] == 2
    held = [gpu.empty((200 * MIB,), np.uint8) for _ in range(5)]
    assert gpu.counters()["allocations"] == 2
    assert len(held) == 5


def test_out_of_memory_says_how_much(gpu: Any) -> None:
    free = gpu.free_bytes()
    assert free == device.CAPACITY
    held = gpu.empty((1, 1 << 20), np.uint8)
    assert gpu.free_bytes() == free - MIB
    for make in (gpu.empty, gpu.zeros):
        with pytest.raises(ResourceError, match=r"cannot allocate 8192 MiB of GPU memory, \d+ MiB are free") as caught:
            make((8 << 30,), np.uint8)
        assert "--device cpu" in str(caught.value)
    with pytest.raises(ResourceError, match="cannot allocate 8192 MiB"):
        gpu.device_arena(8 << 30)
    # what fits exactly is still given, though it is no whole number of granules
    rest = device.mem_get_info()[0]
    assert gpu.empty((rest - MIB,), np.uint8).size == rest - MIB
    assert held.size == MIB


def test_the_pool_gives_way_to_a_block(gpu: Any) -> None:
    gpu.empty((4 << 30,), np.uint8)
    gc.collect()
    assert gpu.device_arena(5 << 30).nbytes == 5 << 30


def test_idle_blocks_give_way_to_arrays(gpu: Any) -> None:
    gpu.device_arena(4 << 30).close()
    assert gpu.free_bytes() == device.CAPACITY
    assert gpu.empty((5 << 30,), np.uint8).size == 5 << 30


def test_a_block_is_of_its_own_and_rounded_up(gpu: Any) -> None:
    block = gpu.device_arena(5000)
    assert (block.nbytes, block.device, len(block.ipc_handle)) == (2 * MIB, 0, 64)
    view = block.view(4096, (2, 3), np.float16)
    view[...] = 1.5
    assert gpu.download(view).tolist() == [[1.5] * 3] * 2
    with pytest.raises(ValueError, match=r"a view of 12 bytes at 2097144 does not fit a block of 2097152 bytes"):
        block.view(2 * MIB - 8, (2, 3), np.float16)
    other = gpu.device_arena(5000)
    assert other.ipc_handle != block.ipc_handle
    handle = block.ipc_handle
    block.close()
    block.close()
    with pytest.raises(ValueError, match="closed"):
        block.view(0, (1,), np.uint8)
    assert gpu.device_arena(5000).ipc_handle == handle  # taken up again
    with pytest.raises(ValueError, match="positive"):
        gpu.device_arena(0)


def test_a_block_that_a_server_may_still_write_to_is_not_used_again(gpu: Any, caplog: pytest.LogCaptureFixture) -> None:
    block = gpu.device_arena(2 * MIB)
    handle, free = block.ipc_handle, gpu.free_bytes()
    block.in_use_by_server = True
    block.close()
    assert "2 MiB of GPU memory stay taken" in caplog.text
    assert gpu.free_bytes() == free
    assert gpu.device_arena(2 * MIB).ipc_handle != handle


def test_peak_counts_arrays_and_blocks(gpu: Any) -> None:
    array = gpu.empty((MIB,), np.uint8)
    block = gpu.device_arena(2 * MIB)
    assert gpu.counters()["peak_device_bytes"] == 3 * MIB
    block.close()
    del array
    gpu.empty((MIB,), np.uint8)
    assert gpu.counters()["peak_device_bytes"] == 3 * MIB


def test_outputs_of_a_foreign_byte_order_are_refused(gpu: Any) -> None:
    out = gpu.upload(np.zeros((1, 2, 2, 2), np.float32))
    foreign = gpu.upload(np.zeros((1, 2, 2, 2), ">f4"))
    with pytest.raises(ValueError, match="found >f4"):
        gpu.resample(out, foreign, None, ClampedAffine(), ClampedAffine())
    labels = gpu.upload(np.zeros((2, 2, 2), np.uint8))
    with pytest.raises(ValueError, match="native byte order, found >f4"):
        gpu.argmax(foreign, labels)
    with pytest.raises(ValueError, match="dtype >u2 must be of native byte order"):
        gpu.resample_labels(labels, (identity_table(2),) * 3, gpu.upload(np.zeros((2, 2, 2), ">u2")))


# -- kernels ------------------------------------------------------------------------------------------------------


def test_kernels_are_kept_between_processes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first process compiles, the second reads; a folder of the image is read without being written."""
    monkeypatch.setenv("GPU_INFER_CACHE", str(tmp_path / "first"))
    for compiled in (1, 0):
        with simulated_cupy() as module:
            backend = module.GpuBackend()
            backend.histogram(backend.zeros((3, 3), np.uint8))
            counted = backend.counters()
            assert (counted["kernels_compiled"], counted["modules_loaded"]) == (compiled, 1)
    kept = tmp_path / "first" / "cuda"
    assert [path.name.split("-")[0] for path in kept.iterdir()] == ["statistics"]
    monkeypatch.setenv("GPU_INFER_CACHE", str(tmp_path / "second"))
    monkeypatch.setenv("GPU_INFER_KERNELS", str(kept))
    with simulated_cupy() as module:
        backend = module.GpuBackend()
        backend.histogram(backend.zeros((3, 3), np.uint8))
        assert backend.counters()["kernels_compiled"] == 0


def test_kernels_without_a_folder_to_keep_them(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    with simulated_cupy() as module:
        backend = module.GpuBackend()
        monkeypatch.setattr("gpu_infer.backends.gpu.compile.modules._own_folder", lambda: None)
        assert backend.histogram(backend.zeros((3, 3), np.uint8)).tolist() == [9]
        assert backend.counters()["kernels_compiled"] == 1
    assert "set GPU_INFER_KERNELS" in caplog.text


def test_a_folder_that_others_can_write_is_not_trusted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GPU_INFER_CACHE", str(tmp_path))
    (tmp_path / "cuda").mkdir()
    (tmp_path / "cuda").chmod(0o777)
    with simulated_cupy():
        from gpu_infer.backends.gpu.compile.modules import _own_folder

        assert _own_folder() is None
        (tmp_path / "cuda").chmod(0o700)
        assert _own_folder() == tmp_path / "cuda"


def test_precompile_for_an_image(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with simulated_cupy(devices=0):
        from gpu_infer.backends.gpu.compile import modules as gpu_modules
        from gpu_infer.backends.gpu.compile.precompile import main

        monkeypatch.setattr(gpu_modules, "MODULES", ("masked",))
        assert main([str(tmp_path / "out"), "sim"]) == 0
        assert main([str(tmp_path)]) == 2
    (made,) = (tmp_path / "out").glob("*.cubin")
    assert made.name.startswith("masked-sm_sim-")
    assert made.stat().st_size > 1000


def test_what_the_compiler_refuses_is_one_line() -> None:
    with simulated_cupy():
        from gpu_infer.backends.gpu.compile import modules as gpu_modules

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(gpu_modules, "kernel_source", lambda module: "this is no C++")
            with pytest.raises(ConfigError, match=r"masked.cu cannot be compiled for sm_90 by NVRTC .*error") as caught:
                gpu_modules.compile_cubin("masked", "90")
    assert "\n" not in str(caught.value)


def test_sources_are_whole() -> None:
    """Each module compiles by itself: common.cuh is in front, and nothing is left to include."""
    assert OPTIONS == ("-std=c++17", "--fmad=false")
    assert compile_options("90")[-1] == "--gpu-architecture=sm_90"
    names = {cubin_name(module, arch, (13, 0)) for module in MODULES for arch in ("80", "90")}
    assert len(names) == 2 * len(MODULES)
    for module in MODULES:
        assert "#include" not in kernel_source(module)
        assert kernel_source(module).index("struct Affine") < kernel_source(module).index(f'#line 1 "{module}.cu"')


def test_the_limit_of_cupys_own_pool_is_not_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    """`free_bytes` counts the device's memory, and a plan that fits there is carried out."""
    monkeypatch.setenv("CUPY_GPU_MEMORY_LIMIT", str(MIB))
    with simulated_cupy() as module:
        gpu = module.GpuBackend()
        host = np.full(8 * MIB, 5, np.uint8)
        assert gpu.free_bytes() > 100 * MIB
        np.testing.assert_array_equal(gpu.download(gpu.upload(host)), host)
