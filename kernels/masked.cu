// A function for what is not 0.
//
//   out[c, i, j, k] = f(source[c, i, j, k])   where source is not 0 (NaN is not), else 0
//
// in float32, f as `apply` states. Axes i, j, k are the spatial ones, ordered so that k is the output's fastest. `out`
// may be `source`: a thread reads and writes one place.

struct Masked {
    const void* source;
    void* out;
    i64 source_strides[4];  // c, i, j, k
    i64 out_strides[4];
    i64 size[4];
    Affine function;
};

static const int ROWS = 32;  // rows of j per block

template <class S, class D> __device__ __forceinline__ void masked(const Masked& a) {
    const i64 tiles_j = (a.size[2] + ROWS - 1) / ROWS;
    i64 block = blockIdx.x;
    const i64 tile_j = block % tiles_j;
    block /= tiles_j;
    const i64 i = block % a.size[1];
    const i64 c = block / a.size[1];
    const S* from = static_cast<const S*>(a.source) + c * a.source_strides[0] + i * a.source_strides[1];
    D* to = static_cast<D*>(a.out) + c * a.out_strides[0] + i * a.out_strides[1];
    const i64 end_j = least(tile_j * ROWS + ROWS, a.size[2]);
    for (i64 k = threadIdx.x; k < a.size[3]; k += blockDim.x) {
        for (i64 j = tile_j * ROWS + threadIdx.y; j < end_j; j += blockDim.y) {
            const float x = to_float(from[j * a.source_strides[2] + k * a.source_strides[3]]);
            store(to + j * a.out_strides[2] + k * a.out_strides[3], x == 0.0f ? 0.0f : apply(a.function, x));
        }
    }
}

#define MASKED(S, D, NAME)                                                                             \
    extern "C" __global__ void __launch_bounds__(256, 3) masked_##NAME(const __grid_constant__ Masked a) { \
        masked<S, D>(a);                                                                               \
    }

MASKED(float, float, f4_f4)
MASKED(float, half_t, f4_f2)
MASKED(half_t, float, f2_f4)
MASKED(half_t, half_t, f2_f2)
