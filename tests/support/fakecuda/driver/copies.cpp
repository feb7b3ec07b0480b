// Copies and fills, checked against the blocks that exist.
#include "memory.hpp"
#include "streams.hpp"

#include <cstring>

namespace fake {

// Whether the pointers fit `kind`. The host's side is not checked: any memory of the process is valid.
static bool fits(void* to, const void* from, size_t bytes, cudaMemcpyKind kind) {
    const bool writes_device = kind == cudaMemcpyHostToDevice || kind == cudaMemcpyDeviceToDevice;
    const bool reads_device = kind == cudaMemcpyDeviceToHost || kind == cudaMemcpyDeviceToDevice;
    if (writes_device && !on_device(to, bytes)) {
        complain("a copy to memory that is not all on the device");
        return false;
    }
    if (reads_device && !on_device(from, bytes)) {
        complain("a copy from memory that is not all on the device");
        return false;
    }
    return true;
}

static bool is_pageable(const void* host) {
    Block* block = block_at(host);
    return !block || !block->on_host;
}

}  // namespace fake

extern "C" {

cudaError_t cudaMemcpy(void* to, const void* from, size_t bytes, cudaMemcpyKind kind) {
    API_CALL;
    if (!fake::fits(to, from, bytes, kind)) return cudaErrorInvalidValue;
    fake::run_all();
    if (!fake::skipped(bytes)) memmove(to, from, bytes);
    return cudaSuccess;
}

cudaError_t cudaMemcpyAsync(void* to, const void* from, size_t bytes, cudaMemcpyKind kind, cudaStream_t handle) {
    API_CALL;
    if (!fake::fits(to, from, bytes, kind)) return cudaErrorInvalidValue;
    const bool pageable = (kind == cudaMemcpyHostToDevice && fake::is_pageable(from)) ||
                          (kind == cudaMemcpyDeviceToHost && fake::is_pageable(to));
    if (pageable) fake::count_call("cudaMemcpyAsync of pageable memory");
    auto* stream = fake::stream_of(handle);
    stream->push([=] {
        if (!fake::skipped(bytes)) memmove(to, from, bytes);
    });
    // CUDA promises that a copy to pageable memory is done when the call returns; of one from there it promises nothing
    if (pageable && kind == cudaMemcpyDeviceToHost) stream->run();
    return cudaSuccess;
}

cudaError_t cudaMemset(void* to, int value, size_t bytes) {
    API_CALL;
    if (!fake::on_device(to, bytes)) return cudaErrorInvalidValue;
    fake::run_all();
    memset(to, value, bytes);
    return cudaSuccess;
}

cudaError_t cudaMemsetAsync(void* to, int value, size_t bytes, cudaStream_t handle) {
    API_CALL;
    if (!fake::on_device(to, bytes)) {
        fake::complain("a fill of memory that is not all on the device");
        return cudaErrorInvalidValue;
    }
    fake::stream_of(handle)->push([=] {
        if (!fake::skipped(bytes)) memset(to, value, bytes);
    });
    return cudaSuccess;
}

}  // extern "C"
