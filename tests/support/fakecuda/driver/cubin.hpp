// The kernels' properties in a compiled module.
#pragma once

#include <map>
#include <string>

namespace fake {

struct Kernel {
    std::string name;
    unsigned parameter_bytes = 0;
    unsigned shared_bytes = 0;  // static shared memory of a block
    void (*host_build)(const void* launch, const void* parameters) = nullptr;
};

// The kernels of a cubin by name; empty if the image is not ELF.
std::map<std::string, Kernel> kernels_of(const void* image);

}  // namespace fake
