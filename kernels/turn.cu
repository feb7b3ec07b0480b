// From stored voxels to another dtype, axis order and direction without resampling, in one pass.
//
//   out[c, o, p, q] = after(before(src[c, o, p, q]))
//
// in float32: what prepare.cu makes of tables that copy, with the same bits. Axes as there.
//   turn_tile  TILE x TILE voxels of (p, q) per block and SLICES of them along o, through shared memory, for a source
//              whose fastest axis is p: read along p, written along q
//   turn_rows  rows along q, for a source whose fastest axis is q as well

struct Turn {
    const void* src;
    void* dst;
    i64 src_strides[4];  // c, o, p, q
    i64 dst_strides[4];
    i64 size[4];
    Affine before, after;
    int swap;  // bytes of the source are in the other order
};

static const int TILE = 64, PITCH = TILE + 1;  // an odd pitch: columns meet no bank conflict
static const int SLICES = 4;
static const int EACH = TILE / GROUPS;  // rows of a tile per thread

// Part of an axis of `size` voxels.
struct Span {
    i64 begin;
    int count;

    __device__ __forceinline__ Span(unsigned int index, int length, i64 size)
        : begin(static_cast<i64>(index) * length), count(static_cast<int>(least(length, size - begin))) {}
};

// Rows of a thread, GROUPS apart, out of `count`.
__device__ __forceinline__ int own_rows(int count) {
    return (count - static_cast<int>(threadIdx.y) + GROUPS - 1) / GROUPS;
}

// A tile of the source into shared memory; WHOLE: of TILE x TILE voxels.
template <bool WHOLE, bool SUM, class S>
__device__ __forceinline__ void read_tile(const Turn& a, const S* from, int count_p, int count_q, float* plane) {
    const i64 step = GROUPS * a.src_strides[3];
    const int rows = own_rows(count_q);
#pragma unroll(WHOLE ? TILE / LANES : 1)
    for (int k = 0; k < TILE; k += LANES) {
        if (!WHOLE && threadIdx.x + k >= count_p) break;
        const S* sample = from + k * a.src_strides[2];
#pragma unroll(WHOLE ? EACH / UNDER_WAY : 1)
        for (int begin = 0; begin < EACH; begin += UNDER_WAY) {
            in_flight<S>(
                WHOLE ? UNDER_WAY : rows - begin,
                [&](int) {
                    const S x = *sample;
                    sample += step;
                    return x;
                },
                [&](int n, const S& x) {
                    plane[k * PITCH + (begin + n) * GROUPS] = apply(a.after, apply<SUM>(a.before, a.swap, x));
                });
        }
    }
}

template <bool WHOLE, class D>
__device__ __forceinline__ void write_tile(const Turn& a, D* out, int count_p, int count_q, const float* plane) {
    const i64 step = GROUPS * a.dst_strides[2], across = LANES * a.dst_strides[3];
    const int rows = own_rows(count_p);
#pragma unroll(WHOLE ? EACH : 1)
    for (int n = 0; n < EACH; n++) {
        if (!WHOLE && n >= rows) break;
#pragma unroll
        for (int k = 0; k < TILE / LANES; k++) {
            const float x = plane[n * GROUPS * PITCH + k * LANES];
            if (WHOLE || threadIdx.x + k * LANES < count_q) store(out + k * across, x);
        }
        out += step;
    }
}

template <class S, class D> __device__ __forceinline__ void turn_tile(const Turn& a) {
    __shared__ float plane[TILE * PITCH];  // [p, q]
    const Split along_q(blockIdx.x, (a.size[3] + TILE - 1) / TILE);
    const Split along_p(along_q.rest, (a.size[2] + TILE - 1) / TILE);
    const Split along_o(along_p.rest, (a.size[1] + SLICES - 1) / SLICES);
    const Span o(along_o.index, SLICES, a.size[1]);
    const Span p(along_p.index, TILE, a.size[2]), q(along_q.index, TILE, a.size[3]);
    const S* from = static_cast<const S*>(a.src) + along_o.rest * a.src_strides[0] + o.begin * a.src_strides[1] +
                    (p.begin + threadIdx.x) * a.src_strides[2] + (q.begin + threadIdx.y) * a.src_strides[3];
    D* to = static_cast<D*>(a.dst) + along_o.rest * a.dst_strides[0] + o.begin * a.dst_strides[1] +
            (p.begin + threadIdx.y) * a.dst_strides[2] + (q.begin + threadIdx.x) * a.dst_strides[3];
    float* column = plane + threadIdx.x * PITCH + threadIdx.y;
    const float* row = plane + threadIdx.y * PITCH + threadIdx.x;
    const bool sum = a.swap == 0 && is_sum(a.before), whole = p.count == TILE && q.count == TILE;
    for (int n = 0; n < o.count; n++) {
        if (n != 0) __syncthreads();  // the plane before was read to its end
        if (whole && sum)
            read_tile<true, true>(a, from, p.count, q.count, column);
        else if (sum)
            read_tile<false, true>(a, from, p.count, q.count, column);
        else
            read_tile<false, false>(a, from, p.count, q.count, column);
        __syncthreads();
        if (whole)
            write_tile<true>(a, to, p.count, q.count, row);
        else
            write_tile<false>(a, to, p.count, q.count, row);
        from += a.src_strides[1];
        to += a.dst_strides[1];
    }
}

template <bool SUM, class S, class D> __device__ __forceinline__ void turn_rows(const Turn& a) {
    const Rows rows(a.size[1], a.size[2]);
    const Lines<const S> from = {
        static_cast<const S*>(a.src) + rows.rest * a.src_strides[0] + rows.i * a.src_strides[1], a.src_strides[2],
        a.src_strides[3]};
    const Lines<D> to = {static_cast<D*>(a.dst) + rows.rest * a.dst_strides[0] + rows.i * a.dst_strides[1],
                         a.dst_strides[2], a.dst_strides[3]};
    walk_rows<S>(
        rows, a.size[3], from, to, [&](const S* sample, int, int) { return *sample; },
        [&](D* out, const S& x) { store(out, apply(a.after, apply<SUM>(a.before, a.swap, x))); });
}

template <class S, class D> __device__ __forceinline__ void turn_rows(const Turn& a) {
    if (a.swap == 0 && is_sum(a.before))
        turn_rows<true, S, D>(a);
    else
        turn_rows<false, S, D>(a);
}

#define TURN_PAIR(S, D, NAME)                                                                                  \
    extern "C" __global__ void __launch_bounds__(256, 3) turn_tile_##NAME(const __grid_constant__ Turn a) { \
        turn_tile<S, D>(a);                                                                                    \
    }                                                                                                          \
    extern "C" __global__ void __launch_bounds__(256, 3) turn_rows_##NAME(const __grid_constant__ Turn a) { \
        turn_rows<S, D>(a);                                                                                    \
    }
#define TURN(S, NAME)               \
    TURN_PAIR(S, float, NAME##_f4)  \
    TURN_PAIR(S, half_t, NAME##_f2)

TURN(signed char, i1)
TURN(unsigned char, u1)
TURN(short, i2)
TURN(unsigned short, u2)
TURN(int, i4)
TURN(unsigned int, u4)
TURN(i64, i8)
TURN(u64, u8)
TURN(half_t, f2)
TURN(float, f4)
TURN(double, f8)
