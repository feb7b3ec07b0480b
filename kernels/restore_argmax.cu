// Scores on the model's grid to labels on the file's, in one pass: resampled scores are met where they arise.
//
//   labels[o, p, q] = first c with the greatest sum over corners of weight_o * weight_p * weight_q * src[c, ...]
//
// computed as three interpolations in float32, along o, then p, then q, each rounded as `mix` states, and compared with >
// from channel 0 on: what prepare.cu and argmax of finish.cu would make of it, to the last bit. Axes as in prepare.cu.
//   restore_argmax_tile    TILE x TILE outputs of (p, q) per block, for scores whose fastest axis is p. The plane of a
//                          channel under them, interpolated along o, is staged in shared memory; two planes take turns.
//   restore_argmax_direct  one thread per output, for scores whose fastest axis is q as well, and for reductions so
//                          strong that two planes do not fit
// Ties are counted as in finish.cu. Neighbouring blocks are neighbours along o: they read the same planes of the source while a cache holds them.

struct RestoreArgmax {
    const float* src;
    void* dst;
    Axis o, p, q;
    i64 src_strides[4];  // c, o, p, q
    i64 dst_strides[4];  // the first is not used
    i64 size[4];         // 1 and outputs along o, p, q
    i64 channels;
    u64* ties;   // may be null
    float band;  // best and second best that differ by no more are a tie
    int pitch;   // floats per staged row of p, odd
    int plane;   // floats per staged plane
};

static const int TILE = 32;   // outputs per tile along p and q: a thread has one column of q
static const int EACH = TILE / GROUPS;
static const int ROWS = 16;  // rows of p per block of restore_argmax_direct

struct Best {
    float value;
    int channel;
    Podium podium;

    __device__ __forceinline__ Best() : value(0.0f), channel(0), podium{-infinity()} {}

    __device__ __forceinline__ void meet(float other, int c) {
        if (c != 0) podium.meet(value, other);
        const bool better = c == 0 || other > value;
        channel = better ? c : channel;
        value = better ? other : value;
    }
    __device__ __forceinline__ bool tied(float band) const { return value - podium.second <= band; }
};

// A channel's plane under one tile, interpolated along o: read along p, written along q.
struct Plane {
    const float* low;
    i64 apart;  // from there to the neighbour along o
    float weight;
    i64 step_p, step_q;
    unsigned int rows, total;
    u64 inverse;  // n / rows as a multiplication, exact while n * rows < 2^32: a plane has to fit into shared memory

    __device__ __forceinline__ void stage(float* plane, int pitch) const {
#pragma unroll 2
        for (unsigned int n = threadIdx.y * LANES + threadIdx.x; n < total; n += LANES * GROUPS) {
            const unsigned int q = static_cast<unsigned int>((n * inverse) >> 32);
            const unsigned int p = n - q * rows;
            const float* from = low + p * step_p + q * step_q;
            float x = *from;
            if (weight != 0.0f) x = mix(x, from[apart], weight);
            plane[p * pitch + q] = x;
        }
    }
};

// What one block does: indices along o and of the tiles of p and q.
struct Part {
    int o, p, q;

    __device__ __forceinline__ Part(const RestoreArgmax& a, int wide) {
        const unsigned int outer = static_cast<unsigned int>(a.size[1]);
        const unsigned int tiles_q = static_cast<unsigned int>((a.size[3] + wide - 1) / wide);
        const unsigned int tile = blockIdx.x / outer;
        o = static_cast<int>(blockIdx.x - tile * outer);
        p = static_cast<int>(tile / tiles_q);
        q = static_cast<int>(tile % tiles_q);
    }
};

template <class L> __device__ __forceinline__ void restore_argmax_tile(const RestoreArgmax& a) {
    DYNAMIC_SHARED(float, planes);
    const Part part(a, TILE);
    const int first_p = a.p.first[part.p], first_q = a.q.first[part.q];
    Plane under;
    under.step_p = a.src_strides[2];
    under.step_q = a.src_strides[3];
    under.low = a.src + a.o.lower[part.o] * a.src_strides[1] + first_p * under.step_p + first_q * under.step_q;
    under.apart = (a.o.upper[part.o] - a.o.lower[part.o]) * a.src_strides[1];
    under.weight = a.o.weight[part.o];
    under.rows = static_cast<unsigned int>(a.p.count[part.p]);
    under.total = under.rows * static_cast<unsigned int>(a.q.count[part.q]);
    under.inverse = 0xffffffffu / under.rows + 1ull;

    // a thread past the end does the work of the last one: all meet the barrier, none stores twice
    const int end_p = static_cast<int>(a.size[2]), end_q = static_cast<int>(a.size[3]);
    const int own_p = part.p * TILE + threadIdx.y, own_q = part.q * TILE + threadIdx.x;
    const int q = own_q < end_q ? own_q : end_q - 1;
    const int q_low = a.q.lower[q] - first_q, q_high = a.q.upper[q] - first_q;
    const float w_q = a.q.weight[q];
    unsigned int rows[EACH];  // both neighbours' rows of the plane, 16 bits each: shared memory holds fewer floats
    float w_p[EACH];
    Best best[EACH];
#pragma unroll
    for (int n = 0; n < EACH; n++) {
        const int p = own_p + n * GROUPS < end_p ? own_p + n * GROUPS : end_p - 1;
        rows[n] = static_cast<unsigned int>((a.p.lower[p] - first_p) * a.pitch) |
                  static_cast<unsigned int>((a.p.upper[p] - first_p) * a.pitch) << 16;
        w_p[n] = a.p.weight[p];
    }
    const int channels = static_cast<int>(a.channels);
    for (int c = 0; c < channels; c++) {
        float* plane = planes + (c & 1) * a.plane;
        under.stage(plane, a.pitch);
        under.low += a.src_strides[0];
        __syncthreads();  // the next channel goes into the other plane, which all have left here
#pragma unroll
        for (int n = 0; n < EACH; n++) {
            const float* low = plane + (rows[n] & 0xffffu);
            const float* high = plane + (rows[n] >> 16);
            const float x = mix(low[q_low], high[q_low], w_p[n]);
            const float y = mix(low[q_high], high[q_high], w_p[n]);
            best[n].meet(mix(x, y, w_q), c);
        }
    }
    L* out = static_cast<L*>(a.dst) + part.o * a.dst_strides[1] + own_q * a.dst_strides[3];
    unsigned int ties = 0;
#pragma unroll
    for (int n = 0; n < EACH; n++) {
        const int p = own_p + n * GROUPS;
        if (p >= end_p || own_q >= end_q) continue;
        out[p * a.dst_strides[2]] = static_cast<L>(best[n].channel);
        ties += best[n].tied(a.band);
    }
    if (a.ties != nullptr) tally(a.ties, ties);
}

// The source at `low`, interpolated along o; `apart` leads to its neighbour.
__device__ __forceinline__ float corner(const float* low, i64 apart, float w_o) {
    return w_o == 0.0f ? *low : mix(*low, low[apart], w_o);
}

template <class L> __device__ __forceinline__ void restore_argmax_direct(const RestoreArgmax& a) {
    const Part part(a, LANES);
    const int o = part.o;
    const i64 own_q = part.q * LANES + threadIdx.x;
    const bool inside = own_q < a.size[3];
    const i64 q = inside ? own_q : 0;
    unsigned int ties = 0;

    const float w_o = a.o.weight[o], w_q = a.q.weight[q];
    const i64 apart = (a.o.upper[o] - a.o.lower[o]) * a.src_strides[1];
    const i64 across = (a.q.upper[q] - a.q.lower[q]) * a.src_strides[3];
    const float* base = a.src + a.o.lower[o] * a.src_strides[1] + a.q.lower[q] * a.src_strides[3];
    L* out = static_cast<L*>(a.dst) + o * a.dst_strides[1] + q * a.dst_strides[3];
    const i64 end_p = inside ? least(part.p * ROWS + ROWS, a.size[2]) : 0;
    for (i64 p = part.p * ROWS + threadIdx.y; p < end_p; p += GROUPS) {
        const float w_p = a.p.weight[p];
        const i64 down = (a.p.upper[p] - a.p.lower[p]) * a.src_strides[2];
        const float* score = base + a.p.lower[p] * a.src_strides[2];
        Best best;
        for (i64 c = 0; c < a.channels; c++, score += a.src_strides[0]) {
            float x = corner(score, apart, w_o);
            if (w_p != 0.0f) x = mix(x, corner(score + down, apart, w_o), w_p);
            if (w_q != 0.0f) {
                float y = corner(score + across, apart, w_o);
                if (w_p != 0.0f) y = mix(y, corner(score + across + down, apart, w_o), w_p);
                x = mix(x, y, w_q);
            }
            best.meet(x, static_cast<int>(c));
        }
        out[p * a.dst_strides[2]] = static_cast<L>(best.channel);
        ties += best.tied(a.band);
    }
    if (a.ties != nullptr) tally(a.ties, ties);
}

#define RESTORE_ARGMAX(L, NAME)                                                         \
    extern "C" __global__ void __launch_bounds__(256, 3)                                \
        restore_argmax_tile_##NAME(const __grid_constant__ RestoreArgmax a) {           \
        restore_argmax_tile<L>(a);                                                      \
    }                                                                                   \
    extern "C" __global__ void __launch_bounds__(256, 3)                                \
        restore_argmax_direct_##NAME(const __grid_constant__ RestoreArgmax a) {         \
        restore_argmax_direct<L>(a);                                                    \
    }

RESTORE_ARGMAX(unsigned char, u1)
RESTORE_ARGMAX(unsigned short, u2)
