// The largest connected component of each label of a label map.
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
// Label 0 is background. `best` holds size * 2^32 + (2^32 - 1 - root), so that one atomic maximum ranks both.

struct Components {
    const void* labels;
    void* out;
    unsigned int* parent;
    unsigned int* sizes;
    u64* best;                    // by label
    const unsigned char* treated;  // by label: 0 where the label stays as it is
    i64 labels_strides[3];
    i64 out_strides[3];
    i64 size[3];
    int connectivity;  // neighbours differ on at most so many axes
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

template <class L> __device__ __forceinline__ L label_at(const Components& a, i64 x, i64 y, i64 z) {
    return static_cast<const L*>(a.labels)[x * a.labels_strides[0] + y * a.labels_strides[1] + z * a.labels_strides[2]];
}

template <class L> __device__ __forceinline__ L label_of(const Components& a, i64 n) {
    return label_at<L>(a, n / (a.size[2] * a.size[1]), n / a.size[2] % a.size[1], n % a.size[2]);
}

extern "C" __global__ void __launch_bounds__(256, 3) components_start(const __grid_constant__ Components a) {
    const i64 n = static_cast<i64>(blockIdx.x) * THREADS + threadIdx.x;
    if (n < voxels(a)) {
        a.parent[n] = static_cast<unsigned int>(n);
        a.sizes[n] = 0;
    }
}

template <class L> __device__ __forceinline__ void components_join(const Components& a) {
    const i64 n = static_cast<i64>(blockIdx.x) * THREADS + threadIdx.x;
    if (n >= voxels(a)) return;
    const i64 x = n / (a.size[2] * a.size[1]), y = n / a.size[2] % a.size[1], z = n % a.size[2];
    const L label = label_at<L>(a, x, y, z);
    if (label == 0) return;
    for (int d = 0; d < 13; d++) {  // the neighbours of lower index, of the 27 places around
        const int dx = d / 9 - 1, dy = d / 3 % 3 - 1, dz = d % 3 - 1;
        if (dx * dx + dy * dy + dz * dz > a.connectivity) continue;
        const i64 u = x + dx, v = y + dy, w = z + dz;
        if (u < 0 || v < 0 || v >= a.size[1] || w < 0 || w >= a.size[2]) continue;
        if (label_at<L>(a, u, v, w) == label) {
            const i64 other = (u * a.size[1] + v) * a.size[2] + w;
            join(a.parent, static_cast<unsigned int>(n), static_cast<unsigned int>(other));
        }
    }
}

template <class L> __device__ __forceinline__ void components_settle(const Components& a) {
    const i64 begin = static_cast<i64>(blockIdx.x) * THREADS * PER_THREAD;
    const i64 end = least(begin + THREADS * PER_THREAD, voxels(a));
    unsigned int run = 0, held = 0;
    for (i64 n = begin + threadIdx.x; n < end; n += THREADS) {
        if (label_of<L>(a, n) == 0) continue;
        const unsigned int root = root_of(a.parent, static_cast<unsigned int>(n));
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
    const i64 n = static_cast<i64>(blockIdx.x) * THREADS + threadIdx.x;
    if (n >= voxels(a) || a.sizes[n] == 0) return;
    const u64 rank = (static_cast<u64>(a.sizes[n]) << 32) | (0xffffffffu - static_cast<unsigned int>(n));
    atomicMax(&a.best[label_of<L>(a, n)], rank);
}

template <class L> __device__ __forceinline__ void components_choose(const Components& a) {
    const i64 n = static_cast<i64>(blockIdx.x) * THREADS + threadIdx.x;
    if (n >= voxels(a)) return;
    const i64 x = n / (a.size[2] * a.size[1]), y = n / a.size[2] % a.size[1], z = n % a.size[2];
    const L label = label_at<L>(a, x, y, z);
    const bool kept = a.treated[label] == 0 || a.parent[n] == 0xffffffffu - static_cast<unsigned int>(a.best[label]);
    static_cast<L*>(a.out)[x * a.out_strides[0] + y * a.out_strides[1] + z * a.out_strides[2]] = kept ? label : L(0);
}

#define STEP(name, L, NAME)                                                                                      \
    extern "C" __global__ void __launch_bounds__(256, 3) name##_##NAME(const __grid_constant__ Components a) { \
        name<L>(a);                                                                                             \
    }
#define COMPONENTS(L, NAME)              \
    STEP(components_join, L, NAME)       \
    STEP(components_settle, L, NAME)     \
    STEP(components_rank, L, NAME)       \
    STEP(components_choose, L, NAME)

COMPONENTS(unsigned char, u1)
COMPONENTS(unsigned short, u2)
