// Masks of voxels above a value and of label ids, and where on each axis such voxels lie.
//
//   out[c, i, j, k] = source[c, i, j, k] > value ? one : 0                                  (threshold)
//   out[c, i, j, k] = table[labels[c, i, j, k]]                                             (lookup)
//   out[c, i, j, k] = table[labels[c, i, j, k]] where that is not 0                         (overlay)
//   out[i, j, k] = values[c] of the last c with masks[c, i, j, k] != 0, else 0, or as before if `over`      (merge)
//   labels[i, j, k] = label where mask[i, j, k] != 0 and labels == 0; 0 where mask == 0 and labels == label   (repaint)
//   held_i[i] = held_j[j] = held_k[k] = 1   where source[c, i, j, k] > value for any c      (extent)
//
// `one` is 1 in the bits of the output's dtype. Axes i, j, k are the spatial ones, ordered so that k is the output's (of
// extent: the source's) fastest. Values are compared in float32 where that holds every number of the source's dtype, else
// in float64, as NumPy does with a float32 scalar; NaN is above nothing. With `nonzero`, "is not 0", which NaN is not,
// replaces "> value". `extent` begins with zeros, and all that write a
// place of it write 1.

struct Threshold {
    const void* source;
    void* out;
    i64 source_strides[4];  // c, i, j, k
    i64 out_strides[4];
    i64 size[4];
    u64 one;
    float value;
    int nonzero;  // instead of a value: what is not 0
    int swap;
};

struct Lookup {
    const void* labels;
    const void* table;
    void* out;
    i64 labels_strides[4];
    i64 out_strides[4];
    i64 size[4];
};

struct Merge {
    const void* masks;
    const unsigned short* values;  // by channel
    void* out;
    i64 masks_strides[4];  // c, i, j, k
    i64 out_strides[3];
    i64 size[3];
    i64 channels;
    int over;  // a voxel without a mask does not change
};

struct Repaint {
    const unsigned char* mask;
    void* labels;
    i64 mask_strides[3];
    i64 labels_strides[3];
    i64 size[3];
    int label;
};

struct Extent {
    const void* source;
    unsigned char* held_i;
    unsigned char* held_j;
    unsigned char* held_k;
    i64 source_strides[4];
    i64 size[4];
    float value;
    int nonzero;  // instead of a value: what is not 0
    int swap;
};

template <class S> __device__ __forceinline__ bool above(S x, float value) { return to_float(x) > value; }
template <> __device__ __forceinline__ bool above(int x, float value) { return static_cast<double>(x) > value; }
template <> __device__ __forceinline__ bool above(unsigned int x, float value) { return static_cast<double>(x) > value; }
template <> __device__ __forceinline__ bool above(i64 x, float value) { return static_cast<double>(x) > value; }
template <> __device__ __forceinline__ bool above(u64 x, float value) { return static_cast<double>(x) > value; }
template <> __device__ __forceinline__ bool above(double x, float value) { return x > value; }

template <class S> __device__ __forceinline__ bool is_nonzero(S x) { return x != 0; }
template <> __device__ __forceinline__ bool is_nonzero(half_t x) { return (x.bits & 0x7fffu) != 0; }

// NONZERO: whether x is not 0, else whether it is above the value. The loops have one of both.
template <bool NONZERO, class S> __device__ __forceinline__ bool chosen(S x, float value) {
    return NONZERO ? is_nonzero(x) : above(x, value);
}

template <bool NONZERO, class S, class D> __device__ __forceinline__ void threshold(const Threshold& a) {
    const Rows rows(a.size[1], a.size[2]);
    const Lines<const S> from = {
        static_cast<const S*>(a.source) + rows.rest * a.source_strides[0] + rows.i * a.source_strides[1],
        a.source_strides[2], a.source_strides[3]};
    const Lines<D> to = {static_cast<D*>(a.out) + rows.rest * a.out_strides[0] + rows.i * a.out_strides[1],
                         a.out_strides[2], a.out_strides[3]};
    const D one = static_cast<D>(a.one);
    walk_rows<S>(
        rows, a.size[3], from, to, [&](const S* sample, int, int) { return load(sample, a.swap != 0); },
        [&](D* out, S x) { *out = chosen<NONZERO>(x, a.value) ? one : static_cast<D>(0); });
}

template <class L, class D> __device__ __forceinline__ void lookup(const Lookup& a) {
    const D* table = static_cast<const D*>(a.table);
    const Rows rows(a.size[1], a.size[2]);
    const Lines<const L> from = {
        static_cast<const L*>(a.labels) + rows.rest * a.labels_strides[0] + rows.i * a.labels_strides[1],
        a.labels_strides[2], a.labels_strides[3]};
    const Lines<D> to = {static_cast<D*>(a.out) + rows.rest * a.out_strides[0] + rows.i * a.out_strides[1],
                         a.out_strides[2], a.out_strides[3]};
    walk_rows<D>(
        rows, a.size[3], from, to, [&](const L* label, int, int) { return table[*label]; },
        [&](D* out, D x) { *out = x; });
}

template <class L, class D> __device__ __forceinline__ void overlay(const Lookup& a) {
    const D* table = static_cast<const D*>(a.table);
    const Rows rows(a.size[1], a.size[2]);
    const Lines<const L> from = {
        static_cast<const L*>(a.labels) + rows.rest * a.labels_strides[0] + rows.i * a.labels_strides[1],
        a.labels_strides[2], a.labels_strides[3]};
    const Lines<D> to = {static_cast<D*>(a.out) + rows.rest * a.out_strides[0] + rows.i * a.out_strides[1],
                         a.out_strides[2], a.out_strides[3]};
    walk_rows<D>(
        rows, a.size[3], from, to, [&](const L* label, int, int) { return table[*label]; },
        [&](D* out, D x) {
            if (x != 0) *out = x;
        });
}

template <class M, class L> __device__ __forceinline__ void merge(const Merge& a) {
    const Rows rows(a.size[0], a.size[1]);
    const i64 last = (a.channels - 1) * a.masks_strides[0];
    const Lines<const M> from = {
        static_cast<const M*>(a.masks) + rows.i * a.masks_strides[1] + last, a.masks_strides[2], a.masks_strides[3]};
    const Lines<L> to = {static_cast<L*>(a.out) + rows.i * a.out_strides[0], a.out_strides[1], a.out_strides[2]};
    walk_rows<L>(
        rows, a.size[2], from, to,
        [&](const M* mask, int n, int k) {
            for (i64 c = a.channels - 1; c >= 0; c--) {
                if (*mask != 0) return static_cast<L>(a.values[c]);
                mask -= a.masks_strides[0];
            }
            return a.over != 0 ? to.at[(rows.first + n * GROUPS) * to.j + k * to.k] : static_cast<L>(0);
        },
        [&](L* out, L x) { *out = x; });
}

template <class L> __device__ __forceinline__ void repaint(const Repaint& a) {
    const Rows rows(a.size[0], a.size[1]);
    const L label = static_cast<L>(a.label);
    const Lines<const unsigned char> from = {a.mask + rows.i * a.mask_strides[0], a.mask_strides[1], a.mask_strides[2]};
    const Lines<L> to = {
        static_cast<L*>(a.labels) + rows.i * a.labels_strides[0], a.labels_strides[1], a.labels_strides[2]};
    walk_rows<L>(
        rows, a.size[2], from, to,
        [&](const unsigned char* mask, int n, int k) {
            const L old = to.at[(rows.first + n * GROUPS) * to.j + k * to.k];
            const bool background = old == 0, own = old == label;
            if (*mask != 0) return background ? label : old;
            return own ? static_cast<L>(0) : old;
        },
        [&](L* out, L x) { *out = x; });
}

// PACK labels.
template <class L> struct Labels {
    Words part[sizeof(L)];

    __device__ __forceinline__ unsigned int operator[](int n) const {
        const int per_word = 4 / sizeof(L), word = n / per_word, within = n % per_word;
        const unsigned int bytes = sizeof(L) == 1 ? 0x4440 | within : 0x4410 | within * 0x22;
        return __byte_perm(part[word / 4].word[word % 4], 0, bytes);  // one instruction
    }
};

template <class L, class Table> __device__ __forceinline__ Words looked_up(const Labels<L>& labels, Table* table) {
    Words out;
#pragma unroll
    for (int w = 0; w < PACK / 4; w++) {
        unsigned int word = 0;
#pragma unroll
        for (int n = 3; n >= 0; n--) word = (word << 8) + table[labels[4 * w + n]];
        out.word[w] = word;
    }
    return out;
}

// For lines along k without gaps, which all begin at the same place within 16 bytes of the output, and of labels within 16.
template <class L> __device__ __forceinline__ void lookup_packs(const Lookup& a) {
    // The greater table of wider labels does not fit. Volatile: the compiler would read all numbers of a thread before it
    // joined the first ones, for which there are not enough registers.
    __shared__ volatile unsigned char near[256];
    const unsigned char* table = static_cast<const unsigned char*>(a.table);
    if (sizeof(L) == 1) {
        const int thread = threadIdx.y * LANES + threadIdx.x;
        near[thread] = table[thread];
        __syncthreads();
    }
    const Rows rows(a.size[1], a.size[2]);
    const Packs line(a.out, a.size[3], 1);
    const L* labels =
        static_cast<const L*>(a.labels) + rows.rest * a.labels_strides[0] + rows.i * a.labels_strides[1];
    unsigned char* out = static_cast<unsigned char*>(a.out) + rows.rest * a.out_strides[0] + rows.i * a.out_strides[1];
    const Lines<const Labels<L>> from = {
        reinterpret_cast<const Labels<L>*>(labels + line.head), a.labels_strides[2] / PACK, 1};
    const Lines<Words> to = {reinterpret_cast<Words*>(out + line.head), a.out_strides[2] / PACK, 1};
    if (sizeof(L) == 1)
        walk_rows<Labels<L>>(
            rows, line.packs, from, to, [](const Labels<L>* at, int, int) { return *at; },
            [&](Words* at, const Labels<L>& x) { *at = looked_up(x, near); });
    else  // the table is read like the labels: before anything is written
        walk_rows<Words>(
            rows, line.packs, from, to,
            [&](const Labels<L>* at, int, int) {
                const Labels<L> read = *at;
                return looked_up(read, table);
            },
            [](Words* at, const Words& x) { *at = x; });
    // before the first pack and after the last
    const i64 whole = line.packs * PACK;
    if (threadIdx.x >= a.size[3] - whole) return;
    const i64 k = threadIdx.x < line.head ? threadIdx.x : threadIdx.x + whole;
    in_flight<unsigned char>(
        rows.count, [&](int n) { return table[labels[(rows.first + n * GROUPS) * a.labels_strides[2] + k]]; },
        [&](int n, unsigned char x) { out[(rows.first + n * GROUPS) * a.out_strides[2] + k] = x; });
}

__device__ __forceinline__ void mark(unsigned char* place) {
    if (*place == 0) *place = 1;
}

template <bool NONZERO, class S> __device__ __forceinline__ void extent(const Extent& a) {
    __shared__ int held[UNDER_WAY * GROUPS];  // per row of the block
    const Rows rows(a.size[1], a.size[2]);
    const S* from = static_cast<const S*>(a.source) + rows.rest * a.source_strides[0] + rows.i * a.source_strides[1] +
                    rows.first * a.source_strides[2];
    const i64 read_step = GROUPS * a.source_strides[2];
    const int thread = threadIdx.y * LANES + threadIdx.x;
    if (thread < UNDER_WAY * GROUPS) held[thread] = 0;
    __syncthreads();
    const int size = static_cast<int>(a.size[3]);
    for (int k = threadIdx.x; k < size; k += LANES) {
        const S* sample = from + k * a.source_strides[3];
        bool column = false;
        in_flight<S>(
            rows.count,
            [&](int n) { return load(sample + n * read_step, a.swap != 0); },
            [&](int n, S x) {
                if (!chosen<NONZERO>(x, a.value)) return;
                column = true;
                held[threadIdx.y + n * GROUPS] = 1;
            });
        if (column) mark(a.held_k + k);
    }
    __syncthreads();
    if (thread < UNDER_WAY * GROUPS && held[thread] != 0) {
        mark(a.held_j + rows.first - threadIdx.y + thread);
        mark(a.held_i + rows.i);
    }
}

#define THRESHOLD(S, D, NAME)                                                                                    \
    extern "C" __global__ void __launch_bounds__(256, 3) threshold_##NAME(const __grid_constant__ Threshold a) { \
        if (a.nonzero != 0) threshold<true, S, D>(a);                                                            \
        else threshold<false, S, D>(a);                                                                          \
    }

// _1, _2, …: bytes per voxel of the output
#define MASKS(S, NAME)                                                                                           \
    THRESHOLD(S, unsigned char, NAME##_1)                                                                        \
    THRESHOLD(S, unsigned short, NAME##_2)                                                                       \
    THRESHOLD(S, unsigned int, NAME##_4)                                                                         \
    THRESHOLD(S, u64, NAME##_8)                                                                                  \
    extern "C" __global__ void __launch_bounds__(256, 3) extent_##NAME(const __grid_constant__ Extent a) {       \
        if (a.nonzero != 0) extent<true, S>(a);                                                                  \
        else extent<false, S>(a);                                                                                \
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
    lookup<unsigned char, unsigned char>(a);
}
extern "C" __global__ void __launch_bounds__(256, 3) lookup_u2(const __grid_constant__ Lookup a) {
    lookup<unsigned short, unsigned char>(a);
}
extern "C" __global__ void __launch_bounds__(256, 3) lookup_packs_u1(const __grid_constant__ Lookup a) {
    lookup_packs<unsigned char>(a);
}
extern "C" __global__ void __launch_bounds__(256, 3) lookup_packs_u2(const __grid_constant__ Lookup a) {
    lookup_packs<unsigned short>(a);
}

// _2: bytes per voxel of the output
extern "C" __global__ void __launch_bounds__(256, 3) lookup_u1_2(const __grid_constant__ Lookup a) {
    lookup<unsigned char, unsigned short>(a);
}
extern "C" __global__ void __launch_bounds__(256, 3) lookup_u2_2(const __grid_constant__ Lookup a) {
    lookup<unsigned short, unsigned short>(a);
}
extern "C" __global__ void __launch_bounds__(256, 3) overlay_u1_1(const __grid_constant__ Lookup a) {
    overlay<unsigned char, unsigned char>(a);
}
extern "C" __global__ void __launch_bounds__(256, 3) overlay_u1_2(const __grid_constant__ Lookup a) {
    overlay<unsigned char, unsigned short>(a);
}
extern "C" __global__ void __launch_bounds__(256, 3) overlay_u2_1(const __grid_constant__ Lookup a) {
    overlay<unsigned short, unsigned char>(a);
}
extern "C" __global__ void __launch_bounds__(256, 3) overlay_u2_2(const __grid_constant__ Lookup a) {
    overlay<unsigned short, unsigned short>(a);
}
extern "C" __global__ void __launch_bounds__(256, 3) merge_u1_1(const __grid_constant__ Merge a) {
    merge<unsigned char, unsigned char>(a);
}
extern "C" __global__ void __launch_bounds__(256, 3) merge_u1_2(const __grid_constant__ Merge a) {
    merge<unsigned char, unsigned short>(a);
}
extern "C" __global__ void __launch_bounds__(256, 3) merge_u2_1(const __grid_constant__ Merge a) {
    merge<unsigned short, unsigned char>(a);
}
extern "C" __global__ void __launch_bounds__(256, 3) merge_u2_2(const __grid_constant__ Merge a) {
    merge<unsigned short, unsigned short>(a);
}
extern "C" __global__ void __launch_bounds__(256, 3) repaint_u1(const __grid_constant__ Repaint a) {
    repaint<unsigned char>(a);
}
extern "C" __global__ void __launch_bounds__(256, 3) repaint_u2(const __grid_constant__ Repaint a) {
    repaint<unsigned short>(a);
}
