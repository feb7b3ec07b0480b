// Reduces final rows of the accumulator, and sets them to zero for the rows that follow.
//
//   labels[i, j, k]    = first c with the greatest sums[c, ring(i, j, k)]       (finish_argmax)
//   scores[c, i, j, k] = sums[c, ring(i, j, k)] / weight(i, j, k)               (finish_scores)
//   masks[c, i, j, k]  = 1 where scores[c, i, j, k] > cuts[c], else 0           (finish_masks)
//   weight(i, j, k)    = weights[ring(i, j, k)], or (count_i[i] * count_j[j]) * count_k[k] where the ring has none
//   ring(i, j, k)      = (origin + (i, j, k)) mod height, per axis
//
// argmax takes the greatest channel of plain scores. All compare with > from channel 0 on: the lowest index wins a tie,
// and a NaN after channel 0 never wins. A sigmoid needs no kernel of its own: it rises everywhere, so that
// 1 / (1 + exp(-x)) > t where x > log(t / (1 - t)). `ties` counts the voxels whose best and second best differ by at most
// `band`, of masks those of which a score differs from its cut by at most `band`; `nans` counts the sums that are NaN.

struct Finish {
    float* sums;
    float* weights;  // may be null
    void* out;       // labels, scores or masks, at the box's first voxel
    u64* ties;       // may be null
    u64* nans;
    const float* count_i;
    const float* count_j;
    const float* count_k;
    const float* cuts;  // of masks, one per channel
    i64 sums_strides[4];     // c, i, j, k
    i64 weights_strides[3];  // i, j, k
    i64 out_strides[4];      // c, i, j, k
    i64 size[3];
    i64 origin[3];
    i64 height[3];
    i64 channels;
    float band;
};

struct Argmax {
    const void* scores;
    void* labels;
    u64* ties;              // may be null
    i64 scores_strides[4];  // c, i, j, k
    i64 labels_strides[3];
    i64 size[3];
    i64 channels;
    float band;
};

static const int ROWS = 8;  // rows of j per block

template <class T> struct Best {
    T value;
    int channel;

    __device__ __forceinline__ void meet(T other, int c) {
        const bool better = other > value;
        channel = better ? c : channel;
        value = better ? other : value;
    }
};

static const int VOXELS = 2;  // of a row, that a thread has under way at a time
static const int FIRST = 3;   // channels that are loaded before anything waits for one of them

// The channels after the first ones, three at a time, all loaded before the first is cleared.
__device__ __forceinline__ unsigned int meet_rest(float* sum, i64 step, int channels, Best<float>& best, Podium& podium) {
    const float lowest = -infinity();
    unsigned int nans = 0;
    for (int c = FIRST; c < channels; c += 3) {
        const bool has_second = c + 1 < channels, has_third = c + 2 < channels;
        const float first = sum[c * step];
        const float second = has_second ? sum[(c + 1) * step] : lowest;
        const float third = has_third ? sum[(c + 2) * step] : lowest;
        sum[c * step] = 0.0f;
        if (has_second) sum[(c + 1) * step] = 0.0f;
        if (has_third) sum[(c + 2) * step] = 0.0f;
        nans += (first != first) + (second != second) + (third != third);
        podium.meet(best.value, first);
        best.meet(first, c);
        podium.meet(best.value, second);
        best.meet(second, c + 1);
        podium.meet(best.value, third);
        best.meet(third, c + 2);
    }
    return nans;
}

template <class L> __device__ __forceinline__ void finish_argmax(const Finish& a) {
    const Tile tile(a.size[1], ROWS);
    const i64 i = tile.rest;
    const i64 x = wrapped(a.origin[0] + i, a.height[0]);
    const i64 step = a.sums_strides[0];
    const int channels = static_cast<int>(a.channels);  // no more than labels of L can name
    const float lowest = -infinity();
    unsigned int ties = 0, nans = 0;
    for (i64 j = tile.begin + threadIdx.y; j < tile.end; j += blockDim.y) {
        const i64 y = wrapped(a.origin[1] + j, a.height[1]);
        float* const sums = a.sums + x * a.sums_strides[1] + y * a.sums_strides[2];
        float* const weights =
            a.weights != nullptr ? a.weights + x * a.weights_strides[0] + y * a.weights_strides[1] : nullptr;
        L* const out = static_cast<L*>(a.out) + i * a.out_strides[1] + j * a.out_strides[2];
        // up to the ring's end, then from its beginning
        i64 z = a.origin[2];
        for (i64 begin = 0, end; begin < a.size[2]; begin = end, z = 0) {
            end = least(a.size[2], begin + a.height[2] - z);
            i64 k = begin + threadIdx.x;
            float* sum = sums + (z + threadIdx.x) * a.sums_strides[3];
            float* weight = weights + (z + threadIdx.x) * a.weights_strides[2];
            L* label = out + k * a.out_strides[3];
            for (; k < end; k += VOXELS * LANES) {
                float held[VOXELS][FIRST];
                bool inside[VOXELS];
#pragma unroll
                for (int v = 0; v < VOXELS; v++) {
                    const float* from = sum + v * LANES * a.sums_strides[3];
                    inside[v] = v == 0 || k + v * LANES < end;
#pragma unroll
                    for (int c = 0; c < FIRST; c++)
                        held[v][c] = inside[v] && c < channels ? from[c * step] : lowest;
                }
#pragma unroll
                for (int v = 0; v < VOXELS; v++) {
                    if (!inside[v]) break;
                    Best<float> best = {held[v][0], 0};
                    Podium podium = {lowest};
                    sum[0] = 0.0f;
                    nans += best.value != best.value;
#pragma unroll
                    for (int c = 1; c < FIRST; c++) {
                        if (c >= channels) break;
                        sum[c * step] = 0.0f;
                        nans += held[v][c] != held[v][c];
                        podium.meet(best.value, held[v][c]);
                        best.meet(held[v][c], c);
                    }
                    if (channels > FIRST) nans += meet_rest(sum, step, channels, best, podium);
                    if (weights != nullptr) *weight = 0.0f;
                    *label = static_cast<L>(best.channel);
                    ties += best.value - podium.second <= a.band;
                    sum += LANES * a.sums_strides[3];
                    weight += LANES * a.weights_strides[2];
                    label += LANES * a.out_strides[3];
                }
            }
        }
    }
    if (nans != 0) atomicAdd(a.nans, static_cast<u64>(nans));  // rare: of a model that fails
    if (a.ties != nullptr) tally(a.ties, ties);
}

extern "C" __global__ void __launch_bounds__(256, 3) finish_argmax_u1(const __grid_constant__ Finish a) {
    finish_argmax<unsigned char>(a);
}
extern "C" __global__ void __launch_bounds__(256, 3) finish_argmax_u2(const __grid_constant__ Finish a) {
    finish_argmax<unsigned short>(a);
}

// What becomes of a mean score.
struct Score {
    typedef float type;
    static __device__ __forceinline__ float of(const Finish&, float mean, i64, bool&) { return mean; }
};
struct Mask {
    typedef unsigned char type;
    static __device__ __forceinline__ unsigned char of(const Finish& a, float mean, i64 c, bool& tied) {
        const float cut = a.cuts[c], off = mean - cut;
        tied = tied || (off <= a.band && -off <= a.band);
        return mean > cut;
    }
};

template <class Made> __device__ __forceinline__ void finish_means(const Finish& a) {
    typedef typename Made::type out_t;
    const i64 across = LANES * a.sums_strides[3], out_across = LANES * a.out_strides[3];
    const Tile tile(a.size[1], ROWS);
    const i64 i = tile.rest;
    const i64 x = wrapped(a.origin[0] + i, a.height[0]);
    unsigned int ties = 0, nans = 0;
    for (i64 j = tile.begin + threadIdx.y; j < tile.end; j += blockDim.y) {
        const i64 y = wrapped(a.origin[1] + j, a.height[1]);
        float* const sums = a.sums + x * a.sums_strides[1] + y * a.sums_strides[2];
        float* const weights =
            a.weights != nullptr ? a.weights + x * a.weights_strides[0] + y * a.weights_strides[1] : nullptr;
        out_t* const row = static_cast<out_t*>(a.out) + i * a.out_strides[1] + j * a.out_strides[2];
        const float count = weights != nullptr ? 0.0f : a.count_i[i] * a.count_j[j];
        // up to the ring's end, then from its beginning
        i64 z = a.origin[2];
        for (i64 begin = 0, end; begin < a.size[2]; begin = end, z = 0) {
            end = least(a.size[2], begin + a.height[2] - z);
            i64 k = begin + threadIdx.x;
            float* sum = sums + (z + threadIdx.x) * a.sums_strides[3];
            float* held = weights + (z + threadIdx.x) * a.weights_strides[2];
            out_t* out = row + k * a.out_strides[3];
            for (; k < end; k += 2 * LANES) {
                const bool two = k + LANES < end;  // voxels under way: this one, and the one LANES after it
                float weight, other_weight = 1.0f;
                if (weights != nullptr) {
                    weight = *held;
                    if (two) other_weight = held[LANES * a.weights_strides[2]];
                    *held = 0.0f;
                    if (two) held[LANES * a.weights_strides[2]] = 0.0f;
                } else {
                    weight = count * a.count_k[k];
                    if (two) other_weight = count * a.count_k[k + LANES];
                }
                float* from = sum;
                out_t* to = out;
                float next = *from, other_next = two ? from[across] : 0.0f;
                bool tied = false, other_tied = false;
#pragma unroll 1  // the division's slow path is a call: unrolled, its neighbours spill
                for (i64 c = 0; c < a.channels; c++) {
                    const float value = next, other = other_next;
                    *from = 0.0f;
                    if (two) from[across] = 0.0f;
                    from += a.sums_strides[0];
                    if (c + 1 < a.channels) {  // under way while this channel is divided
                        next = *from;
                        if (two) other_next = from[across];
                    }
                    nans += (value != value) + (other != other);
                    *to = Made::of(a, value / weight, c, tied);
                    if (two) to[out_across] = Made::of(a, other / other_weight, c, other_tied);
                    to += a.out_strides[0];
                }
                ties += tied + other_tied;
                sum += 2 * across;
                held += 2 * LANES * a.weights_strides[2];
                out += 2 * out_across;
            }
        }
    }
    if (nans != 0) atomicAdd(a.nans, static_cast<u64>(nans));
    if (a.ties != nullptr) tally(a.ties, ties);
}

extern "C" __global__ void __launch_bounds__(256, 3) finish_scores(const __grid_constant__ Finish a) {
    finish_means<Score>(a);
}
extern "C" __global__ void __launch_bounds__(256, 3) finish_masks(const __grid_constant__ Finish a) {
    finish_means<Mask>(a);
}

template <class T> struct Compared {
    typedef T type;
    static __device__ __forceinline__ T of(T x) { return x; }
};
template <> struct Compared<half_t> {
    typedef float type;
    static __device__ __forceinline__ float of(half_t x) { return to_float(x); }
};

template <class S, class L> __device__ __forceinline__ void argmax(const Argmax& a) {
    const Tile tile(a.size[1], ROWS);
    const i64 i = tile.rest;
    const i64 step = a.scores_strides[0];
    const int channels = static_cast<int>(a.channels);  // no more than labels of L can name
    unsigned int ties = 0;
    for (i64 j = tile.begin + threadIdx.y; j < tile.end; j += blockDim.y) {
        i64 k = threadIdx.x;
        const S* score = static_cast<const S*>(a.scores) + i * a.scores_strides[1] + j * a.scores_strides[2] +
                         k * a.scores_strides[3];
        L* label = static_cast<L*>(a.labels) + i * a.labels_strides[0] + j * a.labels_strides[1] +
                   k * a.labels_strides[2];
        for (; k < a.size[2]; k += LANES) {
            Best<typename Compared<S>::type> best = {Compared<S>::of(score[0]), 0};
            Podium podium = {-infinity()};
            const S* from = score;
#pragma unroll 4
            for (int c = 1; c < channels; c++) {
                from += step;
                const typename Compared<S>::type other = Compared<S>::of(*from);
                podium.meet(static_cast<float>(best.value), static_cast<float>(other));
                best.meet(other, c);
            }
            *label = static_cast<L>(best.channel);
            ties += static_cast<float>(best.value) - podium.second <= a.band;
            score += LANES * a.scores_strides[3];
            label += LANES * a.labels_strides[2];
        }
    }
    if (a.ties != nullptr) tally(a.ties, ties);
}

#define ARGMAX(S, NAME)                                                                                      \
    extern "C" __global__ void __launch_bounds__(256, 3) argmax_##NAME##_u1(const __grid_constant__ Argmax a) { \
        argmax<S, unsigned char>(a);                                                                         \
    }                                                                                                        \
    extern "C" __global__ void __launch_bounds__(256, 3) argmax_##NAME##_u2(const __grid_constant__ Argmax a) { \
        argmax<S, unsigned short>(a);                                                                        \
    }

ARGMAX(signed char, i1)
ARGMAX(unsigned char, u1)
ARGMAX(short, i2)
ARGMAX(unsigned short, u2)
ARGMAX(int, i4)
ARGMAX(unsigned int, u4)
ARGMAX(i64, i8)
ARGMAX(u64, u8)
ARGMAX(half_t, f2)
ARGMAX(float, f4)
ARGMAX(double, f8)
