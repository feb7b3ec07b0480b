// cudaMalloc and its relatives. Sizes are rounded up to 2 MiB and fresh memory holds garbage, as on a device.
#include "memory.hpp"

#include "streams.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <map>

namespace fake {

constexpr size_t page = size_t(2) << 20;
constexpr int garbage = 0xCB;
constexpr size_t most_garbage = size_t(64) << 20;  // bytes: a larger block keeps the zeros of the operating system

static std::map<char*, Block>& blocks = *new std::map<char*, Block>;
static size_t used = 0;

Block* block_at(const void* address, char** begin) {
    auto* place = static_cast<char*>(const_cast<void*>(address));
    auto after = blocks.upper_bound(place);
    if (after == blocks.begin()) return nullptr;
    auto& [first, block] = *--after;
    if (place >= first + block.bytes) return nullptr;
    if (begin) *begin = first;
    return &block;
}

bool on_device(const void* address, size_t bytes) {
    char* begin;
    Block* block = block_at(address, &begin);
    return block && !block->on_host && static_cast<const char*>(address) + bytes <= begin + block->bytes;
}

static void* map_segment(const char* name, size_t bytes) {
    const int file = shm_open(name, O_RDWR | O_CREAT | O_EXCL, 0600);
    if (file < 0) return MAP_FAILED;
    void* address = MAP_FAILED;
    if (!ftruncate(file, static_cast<off_t>(bytes)))
        address = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    close(file);
    if (address == MAP_FAILED) shm_unlink(name);
    return address;
}

// The memory of a process is removed at its end; that of a killed one by the next process.
static void unlink_segments_of_ended_processes() {
    DIR* folder = opendir("/dev/shm");
    if (!folder) return;
    while (auto* entry = readdir(folder)) {
        int process = 0;
        if (sscanf(entry->d_name, "fakecuda-%d-", &process) == 1 && kill(process, 0) && errno == ESRCH)
            shm_unlink(entry->d_name);
    }
    closedir(folder);
}

static pid_t owner;

__attribute__((constructor)) static void begin() {
    owner = getpid();
    unlink_segments_of_ended_processes();
}

__attribute__((destructor)) static void end() {
    if (getpid() != owner) return;  // a forked child has its parent's list
    for (auto& [address, block] : blocks)
        if (!block.on_host) shm_unlink(block.segment.c_str());
    unlink_segments_of_ended_processes();
}

}  // namespace fake

using fake::Block;
using fake::blocks;

extern "C" {

cudaError_t cudaMemGetInfo(size_t* free, size_t* total) {
    API_CALL;
    *total = fake::capacity();
    *free = fake::capacity() - fake::used;
    return cudaSuccess;
}

cudaError_t cudaMalloc(void** pointer, size_t bytes) {
    API_CALL;
    *pointer = nullptr;
    if (bytes == 0) return cudaSuccess;
    const size_t size = (bytes + fake::page - 1) / fake::page * fake::page;
    if (fake::used + size > fake::capacity()) return cudaErrorMemoryAllocation;
    static int number = 0;
    char name[64];
    snprintf(name, sizeof name, "/fakecuda-%d-%d", static_cast<int>(getpid()), number++);
    void* address = fake::map_segment(name, size);
    if (address == MAP_FAILED) return cudaErrorMemoryAllocation;
    if (size <= fake::most_garbage && fake::mode() != fake::Mode::null) memset(address, fake::garbage, size);
    fake::used += size;
    blocks[static_cast<char*>(address)] = {name, size, false};
    *pointer = address;
    return cudaSuccess;
}

cudaError_t cudaFree(void* pointer) {
    API_CALL;
    if (!pointer) return cudaSuccess;
    auto entry = blocks.find(static_cast<char*>(pointer));
    if (entry == blocks.end() || entry->second.on_host) {
        fake::complain("cudaFree of a pointer that cudaMalloc did not return");
        return cudaErrorInvalidValue;
    }
    fake::run_all();  // cudaFree waits for the device
    munmap(pointer, entry->second.bytes);
    shm_unlink(entry->second.segment.c_str());
    fake::used -= entry->second.bytes;
    blocks.erase(entry);
    return cudaSuccess;
}

cudaError_t cudaHostAlloc(void** pointer, size_t bytes, unsigned) {
    API_CALL;
    void* address = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (address == MAP_FAILED) return cudaErrorMemoryAllocation;
    blocks[static_cast<char*>(address)] = {"", bytes, true};
    *pointer = address;
    return cudaSuccess;
}

cudaError_t cudaFreeHost(void* pointer) {
    API_CALL;
    fake::run_all();
    auto entry = blocks.find(static_cast<char*>(pointer));
    if (entry == blocks.end() || !entry->second.on_host) {
        fake::complain("cudaFreeHost of a pointer that cudaHostAlloc did not return");
        return cudaErrorInvalidValue;
    }
    munmap(pointer, entry->second.bytes);
    blocks.erase(entry);
    return cudaSuccess;
}

cudaError_t cudaPointerGetAttributes(cudaPointerAttributes* attributes, const void* pointer) {
    API_CALL;
    Block* block = fake::block_at(pointer);
    memset(attributes, 0, sizeof *attributes);
    attributes->type = !block           ? cudaMemoryTypeUnregistered
                       : block->on_host ? cudaMemoryTypeHost
                                        : cudaMemoryTypeDevice;
    attributes->device = block ? 0 : -1;
    attributes->devicePointer = const_cast<void*>(pointer);
    attributes->hostPointer = block && block->on_host ? const_cast<void*>(pointer) : nullptr;
    return cudaSuccess;
}

CUresult cuPointerGetAttribute(void* value, CUpointer_attribute attribute, CUdeviceptr pointer) {
    API_CALL;
    char* begin = nullptr;
    fake::block_at(reinterpret_cast<const void*>(pointer), &begin);
    if (attribute != CU_POINTER_ATTRIBUTE_RANGE_START_ADDR || !begin) return CUDA_ERROR_INVALID_VALUE;
    *static_cast<CUdeviceptr*>(value) = reinterpret_cast<CUdeviceptr>(begin);
    return CUDA_SUCCESS;
}

// The handle is the segment's name without the slash, padded with zeros to 64 bytes.
cudaError_t cudaIpcGetMemHandle(cudaIpcMemHandle_t* handle, void* pointer) {
    API_CALL;
    Block* block = fake::block_at(pointer);
    if (!block || block->on_host) return cudaErrorInvalidValue;
    memset(handle, 0, sizeof *handle);
    snprintf(handle->reserved, sizeof handle->reserved, "%s", block->segment.c_str() + 1);
    return cudaSuccess;
}

}  // extern "C"
