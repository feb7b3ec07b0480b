// Settings, complaints and counts of calls.
#include "driver.hpp"

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>

namespace fake {

std::recursive_mutex everything;

static const char* setting(const char* name, const char* otherwise) {
    const char* value = getenv(name);
    return value ? value : otherwise;
}

static Mode read_mode() {
    const char* name = setting("FAKECUDA_MODE", "lazy");
    if (!strcmp(name, "lazy")) return Mode::lazy;
    if (!strcmp(name, "eager")) return Mode::eager;
    if (!strcmp(name, "null")) return Mode::null;
    complain(std::string("FAKECUDA_MODE: found ") + name + ", expected lazy, eager or null");
    abort();
}

Mode mode() {
    static const Mode chosen = read_mode();
    return chosen;
}

size_t capacity() {
    static const size_t bytes = strtoull(setting("FAKECUDA_BYTES", "17179869184"), nullptr, 0);
    return bytes;
}

const char* kernels() { return setting("FAKECUDA_KERNELS", ""); }

void complain(const std::string& what) {
    fprintf(stderr, "FAKECUDA: %s\n", what.c_str());
    fflush(stderr);
}

// Never destroyed: libraries call the API while the process ends.
static std::map<std::string, long>& calls = *new std::map<std::string, long>;

void count_call(const char* name) { calls[name]++; }

}  // namespace fake

// For tests: how often a function of the API was called.
extern "C" long fakecuda_calls(const char* name) {
    std::lock_guard<std::recursive_mutex> guard(fake::everything);
    auto call = fake::calls.find(name);
    return call == fake::calls.end() ? 0 : call->second;
}
