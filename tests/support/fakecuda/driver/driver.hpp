// A CUDA driver and runtime without a device: what its files share.
//
// Device memory is host memory, kernels are host builds, and work in a stream runs as late as CUDA's rules allow:
// only when something that waits for it (a synchronisation, an event, a blocking copy) makes it run. Code that forgets
// to wait therefore reads or overwrites memory too early on every run, not once in a thousand.
#pragma once

#include <cuda.h>
#include <cuda_runtime_api.h>

#include <mutex>
#include <string>

namespace fake {

// lazy: as late as possible. eager: at once. null: kernels do nothing and copies above 1 MiB are skipped, so that a
// profile of the process shows the host's own work.
enum class Mode { lazy, eager, null };

Mode mode();              // FAKECUDA_MODE, lazy if it is not set
size_t capacity();        // FAKECUDA_BYTES, bytes of device memory, 16 GiB if it is not set
const char* kernels();    // FAKECUDA_KERNELS, the folder of the kernels' host builds

void complain(const std::string& what);  // one line on stderr: a misuse that CUDA would answer with an error or a crash
void count_call(const char* name);

// One lock for everything, locked while queued work runs: the callers' threads take turns, as with a driver's own lock.
extern std::recursive_mutex everything;

constexpr size_t largest_copy_in_null_mode = size_t(1) << 20;

inline bool skipped(size_t bytes) { return mode() == Mode::null && bytes > largest_copy_in_null_mode; }

}  // namespace fake

// The first line of every function of the API that touches state.
#define API_CALL                                                     \
    std::lock_guard<std::recursive_mutex> guard(fake::everything);   \
    fake::count_call(__func__)
