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

static const int LANES = 32;
static const int GROUPS = 8;
static const int ROWS = 16;

__device__ __forceinline__ i64 picked(const int* index, i64 n) { return index == nullptr ? n : index[n]; }

template <class S, class D> __device__ __forceinline__ void pick_tile(const Pick& a) {
    DYNAMIC_SHARED(S, plane);
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

    const i64 end_p = least(tile_p * a.tile + a.tile, a.size[2]);
    const i64 end_q = least(tile_q * a.tile + a.tile, a.size[3]);
    D* out = static_cast<D*>(a.dst) + c * a.dst_strides[0] + o * a.dst_strides[1];
    for (i64 q = tile_q * a.tile + threadIdx.x; q < end_q; q += LANES) {
        const int q_at = a.q.lower[q] - first_q;
        D* column = out + q * a.dst_strides[3];
#pragma unroll 4
        for (i64 p = tile_p * a.tile + threadIdx.y; p < end_p; p += GROUPS) {
            column[p * a.dst_strides[2]] = static_cast<D>(plane[(a.p.lower[p] - first_p) * a.pitch + q_at]);
        }
    }
}

template <class S, class D> __device__ __forceinline__ void pick_direct(const Pick& a) {
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

    const S* base = static_cast<const S*>(a.src) + c * a.src_strides[0] + picked(a.o.lower, o) * a.src_strides[1] +
                    picked(a.q.lower, q) * a.src_strides[3];
    D* out = static_cast<D*>(a.dst) + c * a.dst_strides[0] + o * a.dst_strides[1] + q * a.dst_strides[3];
    const i64 end_p = least(tile_p * ROWS + ROWS, a.size[2]);
#pragma unroll 2
    for (i64 p = tile_p * ROWS + threadIdx.y; p < end_p; p += GROUPS) {
        out[p * a.dst_strides[2]] =
            static_cast<D>(load(base + picked(a.p.lower, p) * a.src_strides[2], a.swap != 0));
    }
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
