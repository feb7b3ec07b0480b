// Windows of the prepared volume into a slot.
//
//   slot[n, c, i, j, k] = volume[c, start_n + (i, j, k)]   inside the volume
//                       = `fill`, or with `edge` its nearest voxel, outside
//
// Axes i, j, k are the spatial ones, ordered so that k is the slot's fastest. Lanes of a warp follow k. A mirrored
// window is a slot with negative strides.

static const int MOST_WINDOWS = 32;  // per launch: they travel in the argument

struct Gather {
    const void* volume;
    void* slot;
    i64 volume_strides[4];  // c, i, j, k
    i64 slot_strides[5];    // n, c, i, j, k
    i64 volume_size[3];
    i64 window_size[3];
    i64 channels;
    i64 starts[MOST_WINDOWS][3];
    float fill;
    int edge;
};

// What takes an index to the nearest one inside the volume.
__device__ __forceinline__ i64 to_edge(i64 index, i64 size) {
    return index < 0 ? -index : index < size ? 0 : size - 1 - index;
}

// The indices of a window along one axis that lie inside the volume.
struct Inside {
    int low;
    unsigned int span;

    __device__ __forceinline__ Inside(i64 start, i64 window, i64 volume) {
        const i64 begin = start < 0 ? least(-start, window) : 0, end = least(window, volume - start);
        low = static_cast<int>(begin);
        span = end > begin ? static_cast<unsigned int>(end - begin) : 0;
    }
    __device__ __forceinline__ bool has(int index) const { return static_cast<unsigned int>(index - low) < span; }
};

template <class S, class D> __device__ __forceinline__ void gather(const Gather& a) {
    const Rows rows(a.window_size[0], a.window_size[1]);
    const Split along_c(rows.rest, a.channels);
    const unsigned int c = along_c.index, n = along_c.rest;
    const i64 x = a.starts[n][0], y = a.starts[n][1], z = a.starts[n][2];
    const Inside in_j(y, a.window_size[1], a.volume_size[1]), in_k(z, a.window_size[2], a.volume_size[2]);
    const bool in_plane = Inside(x, a.window_size[0], a.volume_size[0]).has(rows.i);
    const Lines<const S> from = {
        static_cast<const S*>(a.volume) + c * a.volume_strides[0] + (x + rows.i) * a.volume_strides[1] +
            y * a.volume_strides[2] + z * a.volume_strides[3],
        a.volume_strides[2], a.volume_strides[3]};
    const Lines<D> to = {static_cast<D*>(a.slot) + n * a.slot_strides[0] + c * a.slot_strides[1] +
                             rows.i * a.slot_strides[2],
                         a.slot_strides[3], a.slot_strides[4]};
    const auto write = [](D* out, float value) { store(out, value); };
    if (in_plane && in_j.span == a.window_size[1] && in_k.span == a.window_size[2]) {
        walk_rows<float>(
            rows, a.window_size[2], from, to, [](const S* sample, int, int) { return to_float(*sample); }, write);
        return;
    }
    if (a.edge) {
        const i64 along_i = to_edge(x + rows.i, a.volume_size[0]) * a.volume_strides[1];
        walk_rows<float>(
            rows, a.window_size[2], from, to,
            [&](const S* sample, int row, int k) {
                const i64 along_j = to_edge(y + rows.first + row * GROUPS, a.volume_size[1]) * a.volume_strides[2];
                return to_float(sample[along_i + along_j + to_edge(z + k, a.volume_size[2]) * a.volume_strides[3]]);
            },
            write);
        return;
    }
    walk_rows<float>(
        rows, a.window_size[2], from, to,
        [&](const S* sample, int row, int k) {
            const bool inside = in_plane && in_j.has(rows.first + row * GROUPS) && in_k.has(k);
            return inside ? to_float(*sample) : a.fill;
        },
        write);
}

#define GATHER(S, D, NAME)                                                                             \
    extern "C" __global__ void __launch_bounds__(256, 3) gather_##NAME(const __grid_constant__ Gather a) { \
        gather<S, D>(a);                                                                               \
    }

GATHER(float, float, f4_f4)
GATHER(float, half_t, f4_f2)
GATHER(half_t, float, f2_f4)
GATHER(half_t, half_t, f2_f2)
