// From stored voxels to the model's input grid, in one pass.
//
//   out[c, o, p, q] = after( sum over corners of weight_o * weight_p * weight_q * before(src[c, ...]) )
//
// computed as three interpolations in float32, along o, then p, then q, each rounded as `mix` states. q is the output's
// fastest axis in memory, p the source's fastest among the other two, o the third. A reorientation is nothing but
// permuted and negative strides.
//
// Two kernels compute the same bits:
//   prepare_tile    tile x tile outputs of (p, q) per block, for sources whose fastest axis is p. The source plane under
//                   them, interpolated along o, is staged in shared memory: read along p, written along q. The caller
//                   takes the greatest tile of 64, 32, 16 whose plane fits.
//   prepare_direct  one thread per output, for sources whose fastest axis is q as well (neighbours meet in the cache),
//                   and for reductions so strong that no tile's plane fits.

struct Resample {
    const void* src;
    void* dst;
    Axis o, p, q;
    i64 src_strides[4];  // c, o, p, q
    i64 dst_strides[4];
    i64 size[4];  // channels and outputs along o, p, q
    Affine before, after;
    int tile;   // outputs per tile along p and q
    int pitch;  // floats per staged row of p, odd
    int swap;   // bytes of the source are in the other order
};

static const int LANES = 32;
static const int GROUPS = 8;  // a block is LANES x GROUPS threads
static const int ROWS = 16;   // rows of p per block of prepare_direct

template <class S> __device__ __forceinline__ float before(const Resample& a, const S* from) {
    return apply(a.before, to_float(load(from, a.swap != 0)));
}

template <class S, class D> __device__ __forceinline__ void prepare_tile(const Resample& a) {
    DYNAMIC_SHARED(float, plane);
    const i64 tiles_q = (a.size[3] + a.tile - 1) / a.tile;
    const i64 tiles_p = (a.size[2] + a.tile - 1) / a.tile;
    i64 block = blockIdx.x;
    const i64 tile_q = block % tiles_q;
    block /= tiles_q;
    const i64 tile_p = block % tiles_p;
    block /= tiles_p;
    const i64 o = block % a.size[1];
    const i64 c = block / a.size[1];

    const int first_p = a.p.first[tile_p], count_p = a.p.count[tile_p];
    const int first_q = a.q.first[tile_q], count_q = a.q.count[tile_q];
    const float w_o = a.o.weight[o];
    const i64 s_p = a.src_strides[2], s_q = a.src_strides[3];
    const S* base = static_cast<const S*>(a.src) + c * a.src_strides[0] + first_p * s_p + first_q * s_q;
    const S* low = base + a.o.lower[o] * a.src_strides[1];
    const S* high = base + a.o.upper[o] * a.src_strides[1];

    const unsigned int total = static_cast<unsigned int>(count_p) * count_q;
    // n / count_p as a multiplication, exact while n * count_p < 2^32: a plane has to fit into shared memory
    const u64 inverse = 0xffffffffu / static_cast<unsigned int>(count_p) + 1ull;
    for (unsigned int n = threadIdx.y * LANES + threadIdx.x; n < total; n += LANES * GROUPS) {
        const unsigned int q = static_cast<unsigned int>((n * inverse) >> 32);
        const unsigned int p = n - q * count_p;
        const i64 at = p * s_p + q * s_q;
        float x = before(a, low + at);
        if (w_o != 0.0f) x = mix(x, before(a, high + at), w_o);
        plane[p * a.pitch + q] = x;
    }
    __syncthreads();

    const i64 end_p = least(tile_p * a.tile + a.tile, a.size[2]);
    const i64 end_q = least(tile_q * a.tile + a.tile, a.size[3]);
    D* out = static_cast<D*>(a.dst) + c * a.dst_strides[0] + o * a.dst_strides[1];
    for (i64 q = tile_q * a.tile + threadIdx.x; q < end_q; q += LANES) {
        const int q_low = a.q.lower[q] - first_q, q_high = a.q.upper[q] - first_q;
        const float w_q = a.q.weight[q];
        D* column = out + q * a.dst_strides[3];
#pragma unroll 4
        for (i64 p = tile_p * a.tile + threadIdx.y; p < end_p; p += GROUPS) {
            const float* row_low = plane + (a.p.lower[p] - first_p) * a.pitch;
            const float* row_high = plane + (a.p.upper[p] - first_p) * a.pitch;
            const float w_p = a.p.weight[p];
            const float x = mix(row_low[q_low], row_high[q_low], w_p);
            const float y = mix(row_low[q_high], row_high[q_high], w_p);
            store(column + p * a.dst_strides[2], apply(a.after, mix(x, y, w_q)));
        }
    }
}

// The source at offset `at`, interpolated along o.
template <class S>
__device__ __forceinline__ float corner(const Resample& a, const S* low, const S* high, i64 at, float w_o) {
    const float x = before(a, low + at);
    return w_o == 0.0f ? x : mix(x, before(a, high + at), w_o);
}

template <class S, class D> __device__ __forceinline__ void prepare_direct(const Resample& a) {
    const i64 tiles_q = (a.size[3] + LANES - 1) / LANES;
    const i64 tiles_p = (a.size[2] + ROWS - 1) / ROWS;
    i64 block = blockIdx.x;
    const i64 q = block % tiles_q * LANES + threadIdx.x;
    block /= tiles_q;
    const i64 tile_p = block % tiles_p;
    block /= tiles_p;
    const i64 o = block % a.size[1];
    const i64 c = block / a.size[1];
    if (q >= a.size[3]) return;

    const float w_o = a.o.weight[o], w_q = a.q.weight[q];
    const S* base = static_cast<const S*>(a.src) + c * a.src_strides[0];
    const S* low = base + a.o.lower[o] * a.src_strides[1];
    const S* high = base + a.o.upper[o] * a.src_strides[1];
    const i64 q_low = a.q.lower[q] * a.src_strides[3], q_high = a.q.upper[q] * a.src_strides[3];
    D* out = static_cast<D*>(a.dst) + c * a.dst_strides[0] + o * a.dst_strides[1] + q * a.dst_strides[3];
    const i64 end_p = least(tile_p * ROWS + ROWS, a.size[2]);
    for (i64 p = tile_p * ROWS + threadIdx.y; p < end_p; p += GROUPS) {
        const i64 p_low = a.p.lower[p] * a.src_strides[2], p_high = a.p.upper[p] * a.src_strides[2];
        const float w_p = a.p.weight[p];
        float x = corner(a, low, high, p_low + q_low, w_o);
        if (w_p != 0.0f) x = mix(x, corner(a, low, high, p_high + q_low, w_o), w_p);
        if (w_q != 0.0f) {
            float y = corner(a, low, high, p_low + q_high, w_o);
            if (w_p != 0.0f) y = mix(y, corner(a, low, high, p_high + q_high, w_o), w_p);
            x = mix(x, y, w_q);
        }
        store(out + p * a.dst_strides[2], apply(a.after, x));
    }
}

#define PREPARE_PAIR(S, D, NAME)                                                                                 \
    extern "C" __global__ void __launch_bounds__(256, 3) prepare_tile_##NAME(const __grid_constant__ Resample a) {   \
        prepare_tile<S, D>(a);                                                                                   \
    }                                                                                                            \
    extern "C" __global__ void __launch_bounds__(256, 3) prepare_direct_##NAME(const __grid_constant__ Resample a) { \
        prepare_direct<S, D>(a);                                                                                 \
    }
#define PREPARE(S, NAME)               \
    PREPARE_PAIR(S, float, NAME##_f4)  \
    PREPARE_PAIR(S, half_t, NAME##_f2)

PREPARE(signed char, i1)
PREPARE(unsigned char, u1)
PREPARE(short, i2)
PREPARE(unsigned short, u2)
PREPARE(int, i4)
PREPARE(unsigned int, u4)
PREPARE(i64, i8)
PREPARE(u64, u8)
PREPARE(half_t, f2)
PREPARE(float, f4)
PREPARE(double, f8)
