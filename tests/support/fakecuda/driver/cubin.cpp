// Reads an NVRTC cubin. It is an ELF file with two sections for each kernel: `.nv.info.<kernel>` holds attributes, one
// of which is the size of the parameters, and `.nv.shared.<kernel>` is as large as its static shared memory.
#include "cubin.hpp"

#include <elf.h>

#include <cstring>

namespace fake {

constexpr unsigned sized_value = 4;        // EIFMT_SVAL: the attribute's value is followed by that many bytes
constexpr unsigned parameter_size = 0x19;  // EIATTR_CBANK_PARAM_SIZE

static unsigned read_parameter_bytes(const unsigned char* at, const unsigned char* end) {
    unsigned bytes = 0;
    while (at + 4 <= end) {
        const unsigned format = at[0], attribute = at[1], value = at[2] | at[3] << 8;
        at += 4 + (format == sized_value ? value : 0);
        if (attribute == parameter_size) bytes = value;
    }
    return bytes;
}

static bool strip(std::string& text, const char* prefix) {
    if (text.rfind(prefix, 0) != 0) return false;
    text.erase(0, strlen(prefix));
    return true;
}

std::map<std::string, Kernel> kernels_of(const void* image) {
    std::map<std::string, Kernel> kernels;
    auto* bytes = static_cast<const unsigned char*>(image);
    auto* header = static_cast<const Elf64_Ehdr*>(image);
    if (memcmp(header->e_ident, ELFMAG, SELFMAG)) return kernels;
    auto* sections = reinterpret_cast<const Elf64_Shdr*>(bytes + header->e_shoff);
    auto* names = reinterpret_cast<const char*>(bytes + sections[header->e_shstrndx].sh_offset);
    for (int n = 0; n < header->e_shnum; n++) {
        const auto& section = sections[n];
        std::string name = names + section.sh_name;
        if (strip(name, ".nv.info.")) {
            Kernel& kernel = kernels[name];
            kernel.name = name;
            kernel.parameter_bytes =
                read_parameter_bytes(bytes + section.sh_offset, bytes + section.sh_offset + section.sh_size);
        } else if (strip(name, ".nv.shared.")) {
            kernels[name].shared_bytes = static_cast<unsigned>(section.sh_size);
        }
    }
    return kernels;
}

}  // namespace fake
