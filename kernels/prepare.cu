// From stored voxels to the model's input grid, in one pass.
//
//   out[c, o, p, q] = after( sum over corners of weight_o * weight_p * weight_q * before(src[c, ...]) )
//
// computed as three interpolations in float32, along o, then p, then q, each rounded as `mix` states. q is the output's
// fastest axis in memory, p the source's fastest among the other two, o the third. A reorientation is nothing but
// permuted and negative strides.
//
// Two kernels compute the same bits:
//   prepare_tile    tile x tile outputs of (p, q) per block and SLICES of them along o, for sources whose fastest axis is
//                   p. The source plane under each, interpolated along o, is staged in shared memory: read along p,
//                   written along q. The caller takes the greatest tile of 64, 32, 16 whose plane fits.
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

static const int COLUMNS = 2;  // outputs along q of a thread of prepare_tile: the greatest tile over LANES
static const int SLICES = 4;   // outputs along o of a block of prepare_tile, one plane after the other

template <class S> __device__ __forceinline__ float before(const Resample& a, const S* from) {
    return apply(a.before, to_float(load(from, a.swap != 0)));
}

// Whether `before` is no more than an addition and bytes are in the native order: a sample then costs a third
// of the instructions.
__device__ __forceinline__ bool is_plain(const Resample& a) {
    return a.swap == 0 && a.before.scale == 1.0f && a.before.low == -infinity() && a.before.high == infinity();
}

// The same bits either way; the addition stays where it is of zero, as it makes 0 of -0.
template <bool PLAIN, class S> __device__ __forceinline__ float before(const Resample& a, const S& sample) {
    return PLAIN ? to_float(sample) + a.before.shift : before(a, &sample);
}

// The source plane `w_o` of the way from `low` to `high` into shared memory; BETWEEN is unset where w_o is 0. Both point
// to the tile's first sample. Pointers are 64-bit and step: a sample costs no multiplication and no division.
template <bool PLAIN, bool BETWEEN, class S>
__device__ __forceinline__ void stage(
    const Resample& a, const S* low, const S* high, float w_o, int count_p, int count_q, float* plane) {
    const i64 step = GROUPS * a.src_strides[3];
    const float w_low = 1.0f - w_o;
    for (int p = threadIdx.x; p < count_p; p += LANES) {
        const i64 at = p * a.src_strides[2] + threadIdx.y * a.src_strides[3];
        const S* from_low = low + at;
        const S* from_high = high + at;
        float* to = plane + p * a.pitch + threadIdx.y;
#pragma unroll 4
        for (int q = threadIdx.y; q < count_q; q += GROUPS) {
            float x = before<PLAIN>(a, *from_low);
            if (BETWEEN) x = w_low * x + w_o * before<PLAIN>(a, *from_high);
            *to = x;
            from_low += step;
            from_high += step;
            to += GROUPS;
        }
    }
}

template <class S, class D> __device__ __forceinline__ void prepare_tile(const Resample& a) {
    DYNAMIC_SHARED(float, plane);
    const int shift = 4 + (a.tile >= 32) + (a.tile >= 64);  // tiles of 16, 32, 64: a division less
    const Split along_q(blockIdx.x, (a.size[3] + a.tile - 1) >> shift);
    const Split along_p(along_q.rest, (a.size[2] + a.tile - 1) >> shift);
    const Split along_o(along_p.rest, (a.size[1] + SLICES - 1) / SLICES);
    const i64 begin_q = static_cast<i64>(along_q.index) << shift, begin_p = static_cast<i64>(along_p.index) << shift;
    const int outputs_q = static_cast<int>(least(a.tile, a.size[3] - begin_q));
    const int outputs_p = static_cast<int>(least(a.tile, a.size[2] - begin_p));

    // a thread keeps its columns' part of the tables and takes one row after the other
    const int first_q = a.q.first[along_q.index], count_q = a.q.count[along_q.index];
    int column_low[COLUMNS], column_high[COLUMNS];
    float w_q[COLUMNS];
#pragma unroll
    for (int n = 0; n < COLUMNS; n++) {
        const int q = threadIdx.x + n * LANES;
        const i64 at = begin_q + (q < outputs_q ? q : 0);
        column_low[n] = a.q.lower[at] - first_q;
        column_high[n] = a.q.upper[at] - first_q;
        w_q[n] = a.q.weight[at];
    }
    const int first_p = a.p.first[along_p.index], count_p = a.p.count[along_p.index];
    const int* lower = a.p.lower + begin_p;
    const int* upper = a.p.upper + begin_p;
    const float* weight = a.p.weight + begin_p;
    const S* base = static_cast<const S*>(a.src) + along_o.rest * a.src_strides[0] + first_p * a.src_strides[2] +
                    first_q * a.src_strides[3];
    D* first_out = static_cast<D*>(a.dst) + along_o.rest * a.dst_strides[0] +
                   (begin_p + threadIdx.y) * a.dst_strides[2] + (begin_q + threadIdx.x) * a.dst_strides[3];
    const bool plain = is_plain(a);

    const i64 begin_o = static_cast<i64>(along_o.index) * SLICES;
    const i64 end_o = least(begin_o + SLICES, a.size[1]);
    for (i64 o = begin_o; o < end_o; o++) {
        const S* low = base + a.o.lower[o] * a.src_strides[1];
        const S* high = base + a.o.upper[o] * a.src_strides[1];
        const float w_o = a.o.weight[o];
        if (o != begin_o) __syncthreads();  // the plane before was read to its end
        if (!plain && w_o != 0.0f)
            stage<false, true>(a, low, high, w_o, count_p, count_q, plane);
        else if (!plain)
            stage<false, false>(a, low, high, w_o, count_p, count_q, plane);
        else if (w_o != 0.0f)
            stage<true, true>(a, low, high, w_o, count_p, count_q, plane);
        else
            stage<true, false>(a, low, high, w_o, count_p, count_q, plane);
        __syncthreads();

        D* out = first_out + o * a.dst_strides[1];
#pragma unroll 2
        for (int p = threadIdx.y; p < outputs_p; p += GROUPS) {
            const int row_low = (lower[p] - first_p) * a.pitch;
            const int row_high = (upper[p] - first_p) * a.pitch;
            const float w_p = weight[p];
#pragma unroll
            for (int n = 0; n < COLUMNS; n++) {
                if (threadIdx.x + n * LANES >= outputs_q) break;
                const float x = mix(plane[row_low + column_low[n]], plane[row_high + column_low[n]], w_p);
                const float y = mix(plane[row_low + column_high[n]], plane[row_high + column_high[n]], w_p);
                store(out + n * LANES * a.dst_strides[3], apply(a.after, mix(x, y, w_q[n])));
            }
            out += GROUPS * a.dst_strides[2];
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
    const Column at(a.size);
    if (at.count <= 0) return;
    const float w_o = a.o.weight[at.o], w_q = a.q.weight[at.q];
    const S* base = static_cast<const S*>(a.src) + at.c * a.src_strides[0];
    const S* low = base + a.o.lower[at.o] * a.src_strides[1];
    const S* high = base + a.o.upper[at.o] * a.src_strides[1];
    const i64 q_low = a.q.lower[at.q] * a.src_strides[3], q_high = a.q.upper[at.q] * a.src_strides[3];
    D* out = static_cast<D*>(a.dst) + at.c * a.dst_strides[0] + at.o * a.dst_strides[1] + at.q * a.dst_strides[3];
    const int count = at.count < UNDER_WAY ? at.count : UNDER_WAY;
    for (int n = 0; n < count; n++) {
        const int p = at.p + n * GROUPS;
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
