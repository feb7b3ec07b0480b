// Modules and launches: names and parameter sizes come from the real cubin, the work is done by the host build.
#include "cubin.hpp"
#include "streams.hpp"

#include <dirent.h>
#include <dlfcn.h>

#include <vector>

namespace fake {

using Module = std::map<std::string, Kernel>;

constexpr unsigned most_threads = 1024;
constexpr unsigned most_shared_bytes = 48 << 10;  // without the opt-in, which no caller here uses
constexpr unsigned most_blocks_x = 0x7fffffff, most_blocks_yz = 65535;

// The first argument of a host build, as tests/support/cudasim/shim.h has it.
struct Launch {
    unsigned grid[3], block[3];
    unsigned long long shared_bytes;
};

static std::vector<void*> open_host_builds() {
    std::vector<void*> libraries;
    DIR* folder = opendir(kernels());
    if (!folder) return libraries;
    while (auto* entry = readdir(folder)) {
        const std::string name = entry->d_name;
        if (name.size() < 3 || name.compare(name.size() - 3, 3, ".so")) continue;
        void* library = dlopen((std::string(kernels()) + "/" + name).c_str(), RTLD_NOW | RTLD_LOCAL);
        if (library) libraries.push_back(library);
        else complain(dlerror());
    }
    closedir(folder);
    return libraries;
}

static void* host_build_of(const std::string& kernel) {
    static const std::vector<void*> libraries = open_host_builds();
    const std::string symbol = "cudasim_launch_" + kernel;
    for (void* library : libraries)
        if (void* function = dlsym(library, symbol.c_str())) return function;
    return nullptr;
}

}  // namespace fake

extern "C" {

CUresult cuModuleLoadData(CUmodule* handle, const void* image) {
    API_CALL;
    auto kernels = fake::kernels_of(image);
    if (kernels.empty()) {
        fake::complain("a module that is no cubin, or one without kernels");
        return CUDA_ERROR_INVALID_IMAGE;
    }
    *handle = reinterpret_cast<CUmodule>(new fake::Module(std::move(kernels)));
    return CUDA_SUCCESS;
}

CUresult cuModuleUnload(CUmodule handle) {
    API_CALL;
    fake::run_all();
    delete reinterpret_cast<fake::Module*>(handle);
    return CUDA_SUCCESS;
}

CUresult cuModuleGetFunction(CUfunction* handle, CUmodule module, const char* name) {
    API_CALL;
    auto& kernels = *reinterpret_cast<fake::Module*>(module);
    auto entry = kernels.find(name);
    if (entry == kernels.end()) return CUDA_ERROR_NOT_FOUND;
    auto& kernel = entry->second;
    kernel.host_build = reinterpret_cast<decltype(kernel.host_build)>(fake::host_build_of(name));
    if (!kernel.host_build && fake::mode() != fake::Mode::null) {
        fake::complain(std::string("no host build of the kernel ") + name);
        return CUDA_ERROR_NOT_FOUND;
    }
    *handle = reinterpret_cast<CUfunction>(&kernel);
    return CUDA_SUCCESS;
}

CUresult cuFuncGetAttribute(int* value, CUfunction_attribute, CUfunction) {
    *value = 0;
    return CUDA_SUCCESS;
}

CUresult cuLaunchKernel(CUfunction function, unsigned grid_x, unsigned grid_y, unsigned grid_z, unsigned block_x,
                        unsigned block_y, unsigned block_z, unsigned shared_bytes, CUstream handle, void** parameters,
                        void**) {
    API_CALL;
    if (!function) return CUDA_ERROR_INVALID_HANDLE;
    auto& kernel = *reinterpret_cast<fake::Kernel*>(function);
    const unsigned threads = block_x * block_y * block_z;
    if (!grid_x || !grid_y || !grid_z || grid_x > fake::most_blocks_x || grid_y > fake::most_blocks_yz ||
        grid_z > fake::most_blocks_yz || !threads || threads > fake::most_threads) {
        fake::complain("launch of " + kernel.name + ": no such grid or block");
        return CUDA_ERROR_INVALID_VALUE;
    }
    if (shared_bytes + kernel.shared_bytes > fake::most_shared_bytes) {
        fake::complain("launch of " + kernel.name + ": more shared memory than a block has");
        return CUDA_ERROR_INVALID_VALUE;
    }
    // a launch copies its one struct of parameters, so that the caller's may change when the call returns
    auto* argument = static_cast<const char*>(parameters[0]);
    std::vector<char> copy(argument, argument + kernel.parameter_bytes);
    const fake::Launch launch = {{grid_x, grid_y, grid_z}, {block_x, block_y, block_z}, shared_bytes};
    fake::stream_of(handle)->push([launch, copy = std::move(copy), run = kernel.host_build] {
        if (fake::mode() != fake::Mode::null) run(&launch, copy.data());
    });
    return CUDA_SUCCESS;
}

}  // extern "C"
