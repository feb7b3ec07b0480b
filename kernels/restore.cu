// Copies of integers through index tables: label maps back to the file's grid, axis order and direction; crops and
// strided views into compact memory.
//
//   out[c, o, p, q] = src[c, index_o[o], index_p[p], index_q[q]]      (an index table that is null: the index itself)
//
// Axes as in prepare.cu. No arithmetic: values are copied, at most into a wider integer.
//   pick_tile    through shared memory, for a source whose fastest axis is p: read along p, written along q
//   pick_direct  one thread per output

struct Pick {
    const void* src;
    void* dst;
    Axis o, p, q;  // `lower` is the index; `upper` and `weight` are not used
    i64 src_strides[4];
    i64 dst_strides[4];
    i64 size[4];
    int tile;   // outputs per tile along p and q
    int pitch;  // elements per staged row of p
    int swap;
};

__device__ __forceinline__ int picked(const int* index, int n) { return index == nullptr ? n : index[n]; }

template <class S, class D> __device__ __forceinline__ void pick_tile(const Pick& a) {
    DYNAMIC_SHARED(S, plane);
    const Split along_q(blockIdx.x, (a.size[3] + a.tile - 1) / a.tile);
    const Split along_p(along_q.rest, (a.size[2] + a.tile - 1) / a.tile);
    const Split along_o(along_p.rest, a.size[1]);
    const unsigned int o = along_o.index, c = along_o.rest;

    const int first_p = a.p.first[along_p.index], count_p = a.p.count[along_p.index];
    const int first_q = a.q.first[along_q.index], count_q = a.q.count[along_q.index];
    const i64 s_p = a.src_strides[2], s_q = a.src_strides[3];
    const S* base = static_cast<const S*>(a.src) + c * a.src_strides[0] + picked(a.o.lower, o) * a.src_strides[1] +
                    first_p * s_p + first_q * s_q;
    const unsigned int total = static_cast<unsigned int>(count_p) * count_q;
    const u64 inverse = 0xffffffffu / static_cast<unsigned int>(count_p) + 1ull;
    for (unsigned int n = threadIdx.y * LANES + threadIdx.x; n < total; n += LANES * GROUPS) {
        const unsigned int q = static_cast<unsigned int>((n * inverse) >> 32);
        const unsigned int p = n - q * count_p;
        plane[p * a.pitch + q] = load(base + p * s_p + q * s_q, a.swap != 0);
    }
    __syncthreads();

    const int begin_p = along_p.index * a.tile, begin_q = along_q.index * a.tile;
    const int end_p = static_cast<int>(least(begin_p + a.tile, a.size[2]));
    const int end_q = static_cast<int>(least(begin_q + a.tile, a.size[3]));
    D* out = static_cast<D*>(a.dst) + c * a.dst_strides[0] + o * a.dst_strides[1];
    const i64 down = GROUPS * a.dst_strides[2];
    for (int q = begin_q + threadIdx.x; q < end_q; q += LANES) {
        const int q_at = a.q.lower[q] - first_q;
        for (int p = begin_p + threadIdx.y; p < end_p; p += UNDER_WAY * GROUPS) {
            const int* index = a.p.lower + p;
            D* column = out + q * a.dst_strides[3] + p * a.dst_strides[2];
            in_flight<S>(
                (end_p - p + GROUPS - 1) / GROUPS,
                [&](int n) { return plane[(index[n * GROUPS] - first_p) * a.pitch + q_at]; },
                [&](int n, S x) { column[n * down] = static_cast<D>(x); });
        }
    }
}

template <class S, class D> __device__ __forceinline__ void pick_direct(const Pick& a) {
    const Column at(a.size);
    if (at.count <= 0) return;
    const S* base = static_cast<const S*>(a.src) + at.c * a.src_strides[0] +
                    picked(a.o.lower, at.o) * a.src_strides[1] + picked(a.q.lower, at.q) * a.src_strides[3];
    D* out = static_cast<D*>(a.dst) + at.c * a.dst_strides[0] + at.o * a.dst_strides[1] + at.p * a.dst_strides[2] +
             at.q * a.dst_strides[3];
    const i64 down = GROUPS * a.dst_strides[2];
    in_flight<S>(
        at.count,
        [&](int n) { return load(base + picked(a.p.lower, at.p + n * GROUPS) * a.src_strides[2], a.swap != 0); },
        [&](int n, S x) { out[n * down] = static_cast<D>(x); });
}

#define PICK(S, D, NAME)                                                                               \
    extern "C" __global__ void __launch_bounds__(256, 3) pick_tile_##NAME(const __grid_constant__ Pick a) { \
        pick_tile<S, D>(a);                                                                            \
    }                                                                                                  \
    extern "C" __global__ void __launch_bounds__(256, 3) pick_direct_##NAME(const __grid_constant__ Pick a) { \
        pick_direct<S, D>(a);                                                                          \
    }

// The same width: bits are copied, whatever they mean.
PICK(unsigned char, unsigned char, u1_1)
PICK(unsigned short, unsigned short, u2_2)
PICK(unsigned int, unsigned int, u4_4)
PICK(u64, u64, u8_8)
// Into a wider integer: zeros or the sign are put in front.
PICK(unsigned char, unsigned short, u1_2)
PICK(unsigned char, unsigned int, u1_4)
PICK(unsigned char, u64, u1_8)
PICK(unsigned short, unsigned int, u2_4)
PICK(unsigned short, u64, u2_8)
PICK(unsigned int, u64, u4_8)
PICK(signed char, short, i1_2)
PICK(signed char, int, i1_4)
PICK(signed char, i64, i1_8)
PICK(short, int, i2_4)
PICK(short, i64, i2_8)
PICK(int, i64, i4_8)
