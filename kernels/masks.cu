// Masks of voxels above a value and of label ids, and where on each axis such voxels lie.
//
//   out[c, i, j, k] = source[c, i, j, k] > value ? one : 0                                  (threshold)
//   out[c, i, j, k] = table[labels[c, i, j, k]]                                             (lookup)
//   held_i[i] = held_j[j] = held_k[k] = 1   where source[c, i, j, k] > value for any c      (extent)
//
// `one` is 1 in the bits of the output's dtype. Axes i, j, k are the spatial ones, ordered so that k is the output's (of
// extent: the source's) fastest. Values are compared in float32 where that holds every number of the source's dtype, else
// in float64, as NumPy does with a float32 scalar; NaN is above nothing. `extent` begins with zeros, and all that write a
// place of it write 1.

struct Threshold {
    const void* source;
    void* out;
    i64 source_strides[4];  // c, i, j, k
    i64 out_strides[4];
    i64 size[4];
    u64 one;
    float value;
    int swap;
};

struct Lookup {
    const void* labels;
    const unsigned char* table;
    unsigned char* out;
    i64 labels_strides[4];
    i64 out_strides[4];
    i64 size[4];
};

struct Extent {
    const void* source;
    unsigned char* held_i;
    unsigned char* held_j;
    unsigned char* held_k;
    i64 source_strides[4];
    i64 size[4];
    float value;
    int swap;
};

static const int ROWS = 32;  // rows of j per block

// The rows of a block: tiles of j counted fastest, then i, then c. A launch has fewer than 2^31 blocks.
struct Rows {
    i64 c, i, begin, end;

    __device__ __forceinline__ Rows(i64 size_i, i64 size_j) {
        const unsigned int tiles = static_cast<unsigned int>((size_j + ROWS - 1) / ROWS);
        const unsigned int line = blockIdx.x / tiles, planes = static_cast<unsigned int>(size_i);
        c = line / planes;
        i = line % planes;
        begin = static_cast<i64>(blockIdx.x % tiles) * ROWS;
        end = least(begin + ROWS, size_j);
    }
};

template <class S> __device__ __forceinline__ bool above(S x, float value) { return to_float(x) > value; }
template <> __device__ __forceinline__ bool above(int x, float value) { return static_cast<double>(x) > value; }
template <> __device__ __forceinline__ bool above(unsigned int x, float value) { return static_cast<double>(x) > value; }
template <> __device__ __forceinline__ bool above(i64 x, float value) { return static_cast<double>(x) > value; }
template <> __device__ __forceinline__ bool above(u64 x, float value) { return static_cast<double>(x) > value; }
template <> __device__ __forceinline__ bool above(double x, float value) { return x > value; }

template <class S, class D> __device__ __forceinline__ void threshold(const Threshold& a) {
    const Rows rows(a.size[1], a.size[2]);
    const S* from = static_cast<const S*>(a.source) + rows.c * a.source_strides[0] + rows.i * a.source_strides[1];
    D* to = static_cast<D*>(a.out) + rows.c * a.out_strides[0] + rows.i * a.out_strides[1];
    const D one = static_cast<D>(a.one);
    for (i64 k = threadIdx.x; k < a.size[3]; k += blockDim.x) {
        for (i64 j = rows.begin + threadIdx.y; j < rows.end; j += blockDim.y) {
            const S x = load(from + j * a.source_strides[2] + k * a.source_strides[3], a.swap != 0);
            to[j * a.out_strides[2] + k * a.out_strides[3]] = above(x, a.value) ? one : static_cast<D>(0);
        }
    }
}

template <class L> __device__ __forceinline__ void lookup(const Lookup& a) {
    const Rows rows(a.size[1], a.size[2]);
    const L* from = static_cast<const L*>(a.labels) + rows.c * a.labels_strides[0] + rows.i * a.labels_strides[1];
    unsigned char* to = a.out + rows.c * a.out_strides[0] + rows.i * a.out_strides[1];
    for (i64 k = threadIdx.x; k < a.size[3]; k += blockDim.x) {
        for (i64 j = rows.begin + threadIdx.y; j < rows.end; j += blockDim.y) {
            to[j * a.out_strides[2] + k * a.out_strides[3]] =
                a.table[from[j * a.labels_strides[2] + k * a.labels_strides[3]]];
        }
    }
}

__device__ __forceinline__ void mark(unsigned char* place) {
    if (*place == 0) *place = 1;
}

template <class S> __device__ __forceinline__ void extent(const Extent& a) {
    __shared__ int held[ROWS];
    const Rows rows(a.size[1], a.size[2]);
    const S* from = static_cast<const S*>(a.source) + rows.c * a.source_strides[0] + rows.i * a.source_strides[1];
    const int thread = threadIdx.y * blockDim.x + threadIdx.x;
    if (thread < ROWS) held[thread] = 0;
    __syncthreads();
    for (i64 k = threadIdx.x; k < a.size[3]; k += blockDim.x) {
        bool column = false;
        for (i64 j = rows.begin + threadIdx.y; j < rows.end; j += blockDim.y) {
            const S x = load(from + j * a.source_strides[2] + k * a.source_strides[3], a.swap != 0);
            if (above(x, a.value)) {
                column = true;
                held[j - rows.begin] = 1;
            }
        }
        if (column) mark(a.held_k + k);
    }
    __syncthreads();
    if (thread < ROWS && held[thread] != 0) {
        mark(a.held_j + rows.begin + thread);
        mark(a.held_i + rows.i);
    }
}

#define THRESHOLD(S, D, NAME)                                                                                    \
    extern "C" __global__ void __launch_bounds__(256, 3) threshold_##NAME(const __grid_constant__ Threshold a) { \
        threshold<S, D>(a);                                                                                      \
    }

// _1, _2, …: bytes per voxel of the output
#define MASKS(S, NAME)                                                                                     \
    THRESHOLD(S, unsigned char, NAME##_1)                                                                  \
    THRESHOLD(S, unsigned short, NAME##_2)                                                                 \
    THRESHOLD(S, unsigned int, NAME##_4)                                                                   \
    THRESHOLD(S, u64, NAME##_8)                                                                            \
    extern "C" __global__ void __launch_bounds__(256, 3) extent_##NAME(const __grid_constant__ Extent a) { \
        extent<S>(a);                                                                                      \
    }

MASKS(signed char, i1)
MASKS(unsigned char, u1)
MASKS(short, i2)
MASKS(unsigned short, u2)
MASKS(int, i4)
MASKS(unsigned int, u4)
MASKS(i64, i8)
MASKS(u64, u8)
MASKS(half_t, f2)
MASKS(float, f4)
MASKS(double, f8)

extern "C" __global__ void __launch_bounds__(256, 3) lookup_u1(const __grid_constant__ Lookup a) {
    lookup<unsigned char>(a);
}
extern "C" __global__ void __launch_bounds__(256, 3) lookup_u2(const __grid_constant__ Lookup a) {
    lookup<unsigned short>(a);
}
