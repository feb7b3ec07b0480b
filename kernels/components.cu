// Connected components of a label map: the largest of each label, those of a size, and the holes of a label.
//
// Union-find over voxels, after the equivalence trees of Playne and Hawick (2018): every voxel points to a voxel of its
// component with a lower or equal index (x Y + y) Z + z, roots point to themselves. Joining hangs the greater root below
// the lesser, so that a component's root is its voxel of lowest index whatever the order of the threads.
//
//   components_start   parent[n] = n; sizes[n] = 0
//   components_join    for every neighbour before n with n's label: join their trees
//   components_settle  parent[n] = root of n; sizes[root] += 1
//   components_rank    best[label] = the root with the greatest size, among equals the lowest index
//   components_choose  out[n] = label of n where it is kept, else 0
//
// Labels of which components are found together are a mask of their own, `labels` here; `original` is the label map then.
//
//   components_choose_joined  as components_choose, of the components of the mask
//   components_border         sizes[root] = 2^32 - 1 where the component has a voxel on a face of the volume
//   components_sift           out[n] = label of n if its component has `least` voxels or the label is not treated, else `value`
//
// Label 0 is background. `best` holds size * 2^32 + (2^32 - 1 - root), so that one atomic maximum ranks both.
//
// There are fewer than 2^32 voxels: n is a number of 32 bits, and so are the divisions that take it apart. A division of
// 64 bits is a call of some hundred instructions.

struct Components {
    const void* labels;
    void* out;
    unsigned int* parent;
    unsigned int* sizes;
    u64* best;                    // by label
    const unsigned char* treated;  // by label: 0 where the label stays as it is
    const void* original;          // the label map that is written, of components_choose_joined and components_sift
    i64 labels_strides[3];
    i64 out_strides[3];
    i64 original_strides[3];
    i64 size[3];
    i64 least;
    int connectivity;  // neighbours differ on at most so many axes
    int value;
};

static const int THREADS = 256;
static const int PER_THREAD = 32;  // voxels that one thread of components_settle counts

__device__ __forceinline__ unsigned int root_of(volatile const unsigned int* parent, unsigned int n) {
    unsigned int above = parent[n];
    while (above != n) {
        n = above;
        above = parent[n];
    }
    return n;
}

__device__ __forceinline__ void join(unsigned int* parent, unsigned int a, unsigned int b) {
    while (true) {
        a = root_of(parent, a);
        b = root_of(parent, b);
        if (a == b) return;
        const unsigned int lesser = a < b ? a : b, greater = a < b ? b : a;
        const unsigned int held = atomicMin(&parent[greater], lesser);
        if (held == greater) return;
        a = lesser;  // another thread was first: what it hung `greater` on belongs to the same component
        b = held;
    }
}

__device__ __forceinline__ i64 voxels(const Components& a) { return a.size[0] * a.size[1] * a.size[2]; }

// Voxel n.
struct Voxel {
    unsigned int x, y, z;

    __device__ __forceinline__ Voxel(const Components& a, unsigned int n) {
        const Split along_z(n, a.size[2]);
        const Split along_y(along_z.rest, a.size[1]);
        x = along_y.rest;
        y = along_y.index;
        z = along_z.index;
    }

    // The voxel `step` further on, of which `step` is taken apart as Split does by the size of z.
    __device__ __forceinline__ void advance(const Components& a, const Split& step) {
        z += step.index;
        y += step.rest;
        if (z >= a.size[2]) {
            z -= static_cast<unsigned int>(a.size[2]);
            y++;
        }
        while (y >= a.size[1]) {
            y -= static_cast<unsigned int>(a.size[1]);
            x++;
        }
    }
};

__device__ __forceinline__ i64 offset(const i64 (&strides)[3], const Voxel& v) {
    return v.x * strides[0] + v.y * strides[1] + v.z * strides[2];
}

template <class L> __device__ __forceinline__ L label_of(const Components& a, unsigned int n) {
    return static_cast<const L*>(a.labels)[offset(a.labels_strides, Voxel(a, n))];
}

extern "C" __global__ void __launch_bounds__(256, 3) components_start(const __grid_constant__ Components a) {
    const i64 n = static_cast<i64>(blockIdx.x) * THREADS + threadIdx.x;
    if (n < voxels(a)) {
        a.parent[n] = static_cast<unsigned int>(n);
        a.sizes[n] = 0;
    }
}

template <class L> __device__ __forceinline__ void components_join(const Components& a) {
    const i64 thread = static_cast<i64>(blockIdx.x) * THREADS + threadIdx.x;
    if (thread >= voxels(a)) return;
    const unsigned int n = static_cast<unsigned int>(thread);
    const Voxel at(a, n);
    const L* labels = static_cast<const L*>(a.labels) + offset(a.labels_strides, at);
    const L label = *labels;
    if (label == 0) return;
    // all neighbours of lower index are read before the first is joined: 13 of the 27 places around
    unsigned int same = 0;
#pragma unroll
    for (int d = 0; d < 13; d++) {
        const int dx = d / 9 - 1, dy = d / 3 % 3 - 1, dz = d % 3 - 1;
        const bool inside = dx * dx + dy * dy + dz * dz <= a.connectivity && (dx == 0 || at.x > 0) &&
                            (dy >= 0 || at.y > 0) && (dy <= 0 || at.y + 1 < a.size[1]) && (dz >= 0 || at.z > 0) &&
                            (dz <= 0 || at.z + 1 < a.size[2]);
        const i64 step = dx * a.labels_strides[0] + dy * a.labels_strides[1] + dz * a.labels_strides[2];
        if (inside && labels[step] == label) same |= 1u << d;
    }
    const unsigned int row = static_cast<unsigned int>(a.size[2]);
    unsigned int line = n - static_cast<unsigned int>(a.size[1]) * row - row;  // the first neighbour but for its dz
    for (int d = 0; same != 0; d += 3, same >>= 3) {
        for (unsigned int dz = 0; dz < 3; dz++) {
            if ((same >> dz & 1u) != 0) join(a.parent, n, line + dz - 1);
        }
        line += d == 6 ? (static_cast<unsigned int>(a.size[1]) - 2) * row : row;
    }
}

template <class L> __device__ __forceinline__ void components_settle(const Components& a) {
    const i64 begin = static_cast<i64>(blockIdx.x) * THREADS * PER_THREAD;
    const i64 end = least(begin + THREADS * PER_THREAD, voxels(a));
    const L* labels = static_cast<const L*>(a.labels);
    const Split step(THREADS, a.size[2]);
    Voxel at(a, static_cast<unsigned int>(begin) + threadIdx.x);
    unsigned int run = 0, held = 0;
    for (i64 place = begin + threadIdx.x; place < end; place += THREADS, at.advance(a, step)) {
        if (labels[offset(a.labels_strides, at)] == 0) continue;
        const unsigned int n = static_cast<unsigned int>(place);
        const unsigned int root = root_of(a.parent, n);
        if (root != held && run != 0) {
            atomicAdd(&a.sizes[held], run);
            run = 0;
        }
        // roots never change here: another thread that walks over n meets the old parent or the root
        a.parent[n] = root;
        held = root;
        run++;
    }
    if (run != 0) atomicAdd(&a.sizes[held], run);
}

template <class L> __device__ __forceinline__ void components_rank(const Components& a) {
    const i64 thread = static_cast<i64>(blockIdx.x) * THREADS + threadIdx.x;
    if (thread >= voxels(a) || a.sizes[thread] == 0) return;
    const unsigned int n = static_cast<unsigned int>(thread);
    const u64 rank = (static_cast<u64>(a.sizes[n]) << 32) | (0xffffffffu - n);
    atomicMax(&a.best[label_of<L>(a, n)], rank);
}

template <class L> __device__ __forceinline__ void components_choose(const Components& a) {
    const i64 thread = static_cast<i64>(blockIdx.x) * THREADS + threadIdx.x;
    if (thread >= voxels(a)) return;
    const unsigned int n = static_cast<unsigned int>(thread);
    const Voxel at(a, n);
    const L label = static_cast<const L*>(a.labels)[offset(a.labels_strides, at)];
    const bool kept = a.treated[label] == 0 || a.parent[n] == 0xffffffffu - static_cast<unsigned int>(a.best[label]);
    static_cast<L*>(a.out)[offset(a.out_strides, at)] = kept ? label : L(0);
}

template <class L> __device__ __forceinline__ void components_choose_joined(const Components& a) {
    const i64 thread = static_cast<i64>(blockIdx.x) * THREADS + threadIdx.x;
    if (thread >= voxels(a)) return;
    const unsigned int n = static_cast<unsigned int>(thread);
    const Voxel at(a, n);
    const L label = static_cast<const L*>(a.original)[offset(a.original_strides, at)];
    const bool kept = a.treated[label] == 0 || a.parent[n] == 0xffffffffu - static_cast<unsigned int>(a.best[1]);
    static_cast<L*>(a.out)[offset(a.out_strides, at)] = kept ? label : L(0);
}

extern "C" __global__ void __launch_bounds__(256, 3) components_border(const __grid_constant__ Components a) {
    const i64 thread = static_cast<i64>(blockIdx.x) * THREADS + threadIdx.x;
    if (thread >= voxels(a)) return;
    const unsigned int n = static_cast<unsigned int>(thread);
    const Voxel at(a, n);
    if (at.x == 0 || at.y == 0 || at.z == 0 || at.x + 1 == a.size[0] || at.y + 1 == a.size[1] || at.z + 1 == a.size[2])
        a.sizes[a.parent[n]] = 0xffffffffu;
}

template <class L> __device__ __forceinline__ void components_sift(const Components& a) {
    const i64 thread = static_cast<i64>(blockIdx.x) * THREADS + threadIdx.x;
    if (thread >= voxels(a)) return;
    const unsigned int n = static_cast<unsigned int>(thread);
    const Voxel at(a, n);
    const L label = static_cast<const L*>(a.original)[offset(a.original_strides, at)];
    const bool kept = a.treated[label] == 0 || a.sizes[a.parent[n]] >= a.least;
    static_cast<L*>(a.out)[offset(a.out_strides, at)] = kept ? label : static_cast<L>(a.value);
}

#define STEP(name, L, NAME)                                                                                      \
    extern "C" __global__ void __launch_bounds__(256, 3) name##_##NAME(const __grid_constant__ Components a) { \
        name<L>(a);                                                                                             \
    }
#define COMPONENTS(L, NAME)              \
    STEP(components_join, L, NAME)       \
    STEP(components_settle, L, NAME)     \
    STEP(components_rank, L, NAME)       \
    STEP(components_choose, L, NAME)     \
    STEP(components_choose_joined, L, NAME) \
    STEP(components_sift, L, NAME)

COMPONENTS(unsigned char, u1)
COMPONENTS(unsigned short, u2)
