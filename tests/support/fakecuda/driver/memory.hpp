// Allocations: device memory as POSIX segments, which another process can open, and page-locked host memory.
#pragma once

#include "driver.hpp"

namespace fake {

struct Block {
    std::string segment;  // name in /dev/shm; empty for host memory
    size_t bytes;
    bool on_host;
};

Block* block_at(const void* address, char** begin = nullptr);  // that contains the address; nullptr: none
bool on_device(const void* address, size_t bytes);             // whether all of it is in one device block

}  // namespace fake
