// From stored voxels to the model's input grid, in one pass.
//
//   out[c, o, p, q] = after( sum over corners of weight_o * weight_p * weight_q * before(src[c, ...]) )
//
// computed as three interpolations in float32, along o, then p, then q, each rounded as `mix` states. q is the output's
// fastest axis in memory, p the source's fastest among the other two, o the third. A reorientation is nothing but
// permuted and negative strides.
//
// Two kernels compute the same bits:
//   prepare_tile    high x tile outputs of (p, q) per block and SLICES of them along o, for sources whose fastest axis
//                   is p. The source plane under each is staged in shared memory (planes.cuh): read along p, written
//                   along q. The caller takes the greatest tile whose planes fit.
//   prepare_direct  one thread per output, for sources whose fastest axis is q as well (neighbours meet in the cache),
//                   and for reductions so strong that no tile's planes fit.
// Without resampling, turn.cu does the same with less work.

struct Resample {
    const void* src;
    void* dst;
    Axis o, p, q;
    i64 src_strides[4];  // c, o, p, q
    i64 dst_strides[4];
    i64 size[4];  // channels and outputs along o, p, q
    Affine before, after;
    int high;   // outputs per tile along p: 64, 32 or 16
    int tile;   // and along q
    int pitch;  // floats per staged row of p, odd
    int swap;   // bytes of the source are in the other order
};

static const int COLUMNS = 2;  // outputs along q of a row that a thread of prepare_tile has: the greatest tile / LANES
static const int SLICES = 4;   // outputs along o of a block of prepare_tile, one plane after the other

// Rows of `mixed` to outputs, four per thread at a time. WHOLE: there are 64 outputs along q, which follow each other
// in memory, and 64 or 32 along p.
template <bool WHOLE, class D>
__device__ __forceinline__ void write(
    const Resample& a, const Neighbours (&columns)[COLUMNS], const Quad* mixed, D* out, int outputs_p, int outputs_q) {
    const i64 down = a.dst_strides[2], across = WHOLE ? LANES : LANES * a.dst_strides[3];
    const Quad* line = mixed + threadIdx.y * a.pitch;
#pragma unroll 1
    for (int p = 4 * threadIdx.y; p < outputs_p; p += 4 * GROUPS) {
        Quad x[COLUMNS];
#pragma unroll
        for (int n = 0; n < COLUMNS; n++) {
            const Quad low = *columns[n].lower(line), high = *columns[n].upper(line);
#pragma unroll
            for (int r = 0; r < 4; r++) x[n].row[r] = apply(a.after, columns[n](low.row[r], high.row[r]));
        }
#pragma unroll
        for (int r = 0; r < 4; r++) {
#pragma unroll
            for (int n = 0; n < COLUMNS; n++) {
                const bool inside = p + r < outputs_p && threadIdx.x + n * LANES < outputs_q;
                if (WHOLE || inside) store(out + n * across, x[n].row[r]);
            }
            out += down;
        }
        out += 4 * (GROUPS - 1) * down;
        line += GROUPS * a.pitch;
    }
}

// Of 16, 32, 64: a shift instead of a division.
__device__ __forceinline__ int log_of_tile(int tile) { return 4 + (tile >= 32) + (tile >= 64); }

template <class S, class D> __device__ __forceinline__ void prepare_tile(const Resample& a) {
    DYNAMIC_SHARED(Neighbours, rows);  // of the tile's outputs of p
    const int shift_p = log_of_tile(a.high), shift_q = log_of_tile(a.tile);
    const Split along_q(blockIdx.x, (a.size[3] + a.tile - 1) >> shift_q);
    const Split along_p(along_q.rest, (a.size[2] + a.high - 1) >> shift_p);
    const Split along_o(along_p.rest, (a.size[1] + SLICES - 1) / SLICES);
    const i64 begin_q = static_cast<i64>(along_q.index) << shift_q;
    const i64 begin_p = static_cast<i64>(along_p.index) << shift_p;
    const int outputs_q = static_cast<int>(least(a.tile, a.size[3] - begin_q));
    const int outputs_p = static_cast<int>(least(a.high, a.size[2] - begin_p));
    const int first_q = a.q.first[along_q.index], first_p = a.p.first[along_p.index];

    Under<S> under(a.p, a.q, along_p.index, along_q.index, a.src_strides, a.pitch);
    Quad* mixed = reinterpret_cast<Quad*>(rows + a.high);
    float* plane = reinterpret_cast<float*>(mixed + (a.high >> 2) * a.pitch);
    const int thread = threadIdx.y * LANES + threadIdx.x;
    const int row_bytes = a.pitch * static_cast<int>(sizeof(float)), quad_bytes = sizeof(Quad);
    if (thread < a.high) {
        const int p = thread < outputs_p ? thread : outputs_p - 1;
        rows[thread] = neighbours(a.p, begin_p + p, first_p, row_bytes, under.count_p * row_bytes);
    }
    under.clear(plane, mixed, a.high);
    Neighbours columns[COLUMNS];  // in registers, for all rows
#pragma unroll
    for (int n = 0; n < COLUMNS; n++) {
        const int q = threadIdx.x + n * LANES;
        columns[n] =
            neighbours(a.q, begin_q + (q < outputs_q ? q : 0), first_q, quad_bytes, under.count_q * quad_bytes);
    }
    const S* base = static_cast<const S*>(a.src) + along_o.rest * a.src_strides[0] + first_p * a.src_strides[2] +
                    first_q * a.src_strides[3] + under.own;
    D* first_out = static_cast<D*>(a.dst) + along_o.rest * a.dst_strides[0] +
                   (begin_p + 4 * threadIdx.y) * a.dst_strides[2] + (begin_q + threadIdx.x) * a.dst_strides[3];
    const bool sum = a.swap == 0 && is_sum(a.before);
    const bool whole = outputs_p % (4 * GROUPS) == 0 && outputs_q == COLUMNS * LANES && a.dst_strides[3] == 1;

    const i64 begin_o = static_cast<i64>(along_o.index) * SLICES;
    const i64 end_o = least(begin_o + SLICES, a.size[1]);
    for (i64 o = begin_o; o < end_o; o++) {
        under.between(base, a.o, o, a.src_strides[1]);
        under.template stage<2, 3>(
            plane, sum, [&](const S& x) { return apply<true>(a.before, 0, x); },
            [&](const S& x) { return apply<false>(a.before, a.swap, x); });
        __syncthreads();  // all have left `mixed`, too
        mix_plane(rows, a.high, under.count_q, a.pitch, plane, mixed);
        __syncthreads();  // and the plane
        D* out = first_out + o * a.dst_strides[1];
        if (whole)
            write<true>(a, columns, mixed, out, outputs_p, outputs_q);
        else
            write<false>(a, columns, mixed, out, outputs_p, outputs_q);
    }
}

template <class S> __device__ __forceinline__ float before(const Resample& a, const S* from) {
    return apply<false>(a.before, a.swap, *from);
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
