// Windows of the prepared volume into a slot.
//
//   slot[n, c, i, j, k] = volume[c, start_n + (i, j, k)]   inside the volume, `fill` where the window hangs over it
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
};

static const int ROWS = 32;  // rows of j per block

template <class S, class D> __device__ __forceinline__ void gather(const Gather& a) {
    const i64 tiles_j = (a.window_size[1] + ROWS - 1) / ROWS;
    i64 block = blockIdx.x;
    const i64 tile_j = block % tiles_j;
    block /= tiles_j;
    const i64 i = block % a.window_size[0];
    block /= a.window_size[0];
    const i64 c = block % a.channels;
    const i64 n = block / a.channels;

    const i64 x = a.starts[n][0] + i, y = a.starts[n][1], z = a.starts[n][2];
    const bool inside_x = x >= 0 && x < a.volume_size[0];
    const S* from = static_cast<const S*>(a.volume) + c * a.volume_strides[0] + x * a.volume_strides[1];
    D* to = static_cast<D*>(a.slot) + n * a.slot_strides[0] + c * a.slot_strides[1] + i * a.slot_strides[2];
    const i64 end_j = least(tile_j * ROWS + ROWS, a.window_size[1]);
    for (i64 k = threadIdx.x; k < a.window_size[2]; k += blockDim.x) {
        const bool inside_xz = inside_x && z + k >= 0 && z + k < a.volume_size[2];
        const S* column = from + (z + k) * a.volume_strides[3];
        D* out = to + k * a.slot_strides[4];
#pragma unroll 4
        for (i64 j = tile_j * ROWS + threadIdx.y; j < end_j; j += blockDim.y) {
            const bool inside = inside_xz && y + j >= 0 && y + j < a.volume_size[1];
            store(out + j * a.slot_strides[3], inside ? to_float(column[(y + j) * a.volume_strides[2]]) : a.fill);
        }
    }
}

#define GATHER(S, D, NAME)                                                                             \
    extern "C" __global__ void __launch_bounds__(256, 3) gather_##NAME(const __grid_constant__ Gather a) { \
        gather<S, D>(a);                                                                               \
    }

GATHER(float, float, f4_f4)
GATHER(float, half_t, f4_f2)
GATHER(half_t, float, f2_f4)
GATHER(half_t, half_t, f2_f2)
