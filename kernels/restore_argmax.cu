// Scores on the model's grid to labels on the file's, in one pass: resampled scores are met where they arise.
//
//   labels[o, p, q] = first c with the greatest sum over corners of weight_o * weight_p * weight_q * src[c, ...]
//
// computed as three interpolations in float32, along o, then p, then q, each rounded as `mix` states, and compared with >
// from channel 0 on: what prepare.cu and argmax of finish.cu would make of it, to the last bit. Axes as in prepare.cu.
//   restore_argmax_tile    TILE x tile outputs of (p, q) per block and SLICES of them along o, for scores whose fastest
//                          axis is p. The plane of a channel under each is staged in shared memory (planes.cuh), one
//                          channel after the other.
//   restore_argmax_direct  one thread per output, for scores whose fastest axis is q as well, and for reductions so
//                          strong that no planes fit
// Ties are counted as in finish.cu. Neighbouring blocks are neighbours along o: they read the same planes of the source
// while a cache holds them.

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
    int tile;    // outputs per tile along q: 64 or 32
    int pitch;   // floats per staged row of p, odd
};

static const int TILE = 4 * GROUPS;  // outputs per tile along p: a thread has four rows
static const int COLUMNS = 2;        // and of them outputs along q, LANES apart: the greatest tile
static const int SLICES = 4;         // and outputs along o per block, one after the other
static const int ROWS = 16;  // rows of p per block of restore_argmax_direct

struct Best {
    float value;
    int channel;
    Podium podium;

    __device__ __forceinline__ Best() : value(-infinity()), channel(0), podium{-infinity()} {}

    // The score of channel c; the first one is the best, whatever it is.
    __device__ __forceinline__ void meet(float other, int c) {
        const bool better = c == 0 || other > value;
        podium.add(better ? value : other);
        channel = better ? c : channel;
        value = better ? other : value;
    }
    __device__ __forceinline__ bool tied(float band) const { return value - podium.second <= band; }
};

// A tile's first sample, its first output and the ends of its outputs: in shared memory, since registers are too few to
// hold them while channel follows channel.
struct Place {
    i64 sample;
    int p, q, end_o, end_p, end_q;
};

// What one block does: indices of `deep` outputs along o and of the tiles of p and q.
struct Part {
    int o, p, q;

    __device__ __forceinline__ Part(const RestoreArgmax& a, unsigned int deep, unsigned int wide) {
        const unsigned int outer = (static_cast<unsigned int>(a.size[1]) + deep - 1) / deep;
        const unsigned int tiles_q = (static_cast<unsigned int>(a.size[3]) + wide - 1) / wide;
        const unsigned int tile = blockIdx.x / outer;
        o = static_cast<int>(blockIdx.x - tile * outer);
        p = static_cast<int>(tile / tiles_q);
        q = static_cast<int>(tile % tiles_q);
    }
};

template <class L> __device__ __forceinline__ void restore_argmax_tile(const RestoreArgmax& a) {
    DYNAMIC_SHARED(Neighbours, rows);
    Neighbours* columns = rows + TILE;
    Quad* mixed = reinterpret_cast<Quad*>(columns + COLUMNS * LANES);
    float* plane = reinterpret_cast<float*>(mixed + GROUPS * a.pitch);
    const Part part(a, SLICES, a.tile);
    const int first_p = a.p.first[part.p], first_q = a.q.first[part.q];
    Under<float> under(a.p, a.q, part.p, part.q, a.src_strides, a.pitch);
    under.clear(plane, mixed, TILE);

    // an output past the end does the work of the last one: all meet the barriers, none is stored twice
    const int begin_p = part.p * TILE, begin_q = part.q * a.tile;
    const int end_p = static_cast<int>(least(begin_p + TILE, a.size[2]));
    const int end_q = static_cast<int>(least(begin_q + a.tile, a.size[3]));
    const int row_bytes = a.pitch * static_cast<int>(sizeof(float)), quad_bytes = sizeof(Quad);
    if (threadIdx.y < COLUMNS) {
        const int n = threadIdx.y * LANES + threadIdx.x, q = begin_q + n;
        columns[n] = neighbours(a.q, q < end_q ? q : end_q - 1, first_q, quad_bytes, under.count_q * quad_bytes);
    } else if (threadIdx.y == COLUMNS) {
        const int n = threadIdx.x, p = begin_p + n;
        rows[n] = neighbours(a.p, p < end_p ? p : end_p - 1, first_p, row_bytes, under.count_p * row_bytes);
    }
    __shared__ Place place;
    if (threadIdx.x == 0 && threadIdx.y == 0) {
        place.sample = first_p * a.src_strides[2] + first_q * a.src_strides[3];
        place.p = begin_p;
        place.q = begin_q;
        place.end_o = static_cast<int>(least(part.o * SLICES + SLICES, a.size[1]));
        place.end_p = end_p;
        place.end_q = end_q;
    }
    __syncthreads();
    const Quad* line = mixed + threadIdx.y * a.pitch;
    const int channels = static_cast<int>(a.channels);
    const auto score = [](float x) { return x; };
    unsigned int ties = 0;
#pragma unroll 1
    for (int o = part.o * SLICES; o < place.end_o; o++) {
        under.between(a.src + place.sample + under.own, a.o, o, a.src_strides[1]);
        Best best[COLUMNS][4];
#pragma unroll 1
        for (int c = 0; c < channels; c++) {
            under.stage<1, 2>(plane, true, score, score);
            under.low += a.src_strides[0];
            __syncthreads();  // all have left `mixed`, too
            mix_plane(rows, TILE, under.count_q, a.pitch, plane, mixed);
            __syncthreads();  // and the plane
#pragma unroll
            for (int k = 0; k < COLUMNS; k++) {
                const Neighbours column = columns[threadIdx.x + k * LANES];
                const Quad low = *column.lower(line), high = *column.upper(line);
#pragma unroll
                for (int n = 0; n < 4; n++) best[k][n].meet(column(low.row[n], high.row[n]), c);
            }
        }
        const int p = place.p + 4 * threadIdx.y;
#pragma unroll
        for (int k = 0; k < COLUMNS; k++) {
            const int q = place.q + static_cast<int>(threadIdx.x) + k * LANES;
            L* out = static_cast<L*>(a.dst) + o * a.dst_strides[1] + p * a.dst_strides[2] + q * a.dst_strides[3];
#pragma unroll
            for (int n = 0; n < 4; n++, out += a.dst_strides[2]) {
                if (p + n >= place.end_p || q >= place.end_q) continue;
                *out = static_cast<L>(best[k][n].channel);
                ties += best[k][n].tied(a.band);
            }
        }
    }
    if (a.ties != nullptr) tally(a.ties, ties);
}

// The source at `low`, interpolated along o; `apart` leads to its neighbour.
__device__ __forceinline__ float corner(const float* low, i64 apart, float w_o) {
    return w_o == 0.0f ? *low : mix(*low, low[apart], w_o);
}

template <class L> __device__ __forceinline__ void restore_argmax_direct(const RestoreArgmax& a) {
    const Part part(a, 1, LANES);
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
