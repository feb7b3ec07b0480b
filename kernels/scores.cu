// Probabilities of scores, in place, and how uncertain they are.
//
//   scores[c, i, j, k] = exp(x - max) / sum of exp(x - max) over c          (softmax)
//   scores[c, i, j, k] = 1 / (1 + exp(-x))                                  (sigmoid)
//   scores[c, i, j, k] = min(max(x, 0), 1)                                  (limit)
//   outside, off_sum   = voxels whose scores are no probabilities           (improbable)
//   out[i, j, k]       = scale * sum of -p ln p over c                      (entropy_classes)
//   out[i, j, k]       = scale * sum of -p ln p - (1 - p) ln (1 - p)        (entropy_masks)
//
// Axes i, j, k are the spatial ones, ordered so that k is the scores' fastest. The exponential and the logarithm are the
// polynomials of Cephes' expf and logf: products and sums, rounded one by one as in backends/cpu/kernels/scores.py. The
// card's own would have other last bits than the host's.

struct Probabilities {
    float* scores;
    u64* outside;      // of improbable
    u64* off_sum;
    i64 strides[4];    // c, i, j, k
    i64 size[3];
    i64 channels;
    float tolerance;   // of improbable
};

struct Entropy {
    const float* values;
    float* out;
    i64 values_strides[4];  // c, i, j, k
    i64 out_strides[3];
    i64 size[3];
    i64 channels;
    float scale;
};

static const int ROWS = 8;  // rows of j per block

union Number {
    int bits;
    float value;
};

// exp(x) for x <= 0.
__device__ __forceinline__ float exponential(float x) {
    const float lowest = -87.0f;
    const float inside = x >= lowest ? x : lowest;  // of NaN, too: no integer is made of it
    const int power = static_cast<int>(inside * 1.44269504088896341f - 0.5f);
    const float m = static_cast<float>(power);
    const float r = (x - m * 0.693359375f) - m * -2.12194440e-4f;
    float y = 1.9875691500e-4f * r + 1.3981999507e-3f;
    y = y * r + 8.3334519073e-3f;
    y = y * r + 4.1665795894e-2f;
    y = y * r + 1.6666665459e-1f;
    y = y * r + 5.0000001201e-1f;
    Number scale;
    scale.bits = static_cast<int>(static_cast<unsigned int>(power + 127) << 23);
    y = ((y * (r * r) + r) + 1.0f) * scale.value;
    return x < lowest ? 0.0f : y;
}

// sum - p ln p for 0 <= p <= 1.
__device__ __forceinline__ float with_term(float sum, float p) {
    Number number;
    number.value = p;
    float e = static_cast<float>((number.bits >> 23) - 126);
    number.bits = (number.bits & 0x7fffff) | 0x3f000000;
    const bool small = number.value < 0.707106781186547524f;
    e = small ? e - 1.0f : e;
    const float m = small ? (number.value + number.value) - 1.0f : number.value - 1.0f;
    const float z = m * m;
    float y = 7.0376836292e-2f * m + -1.1514610310e-1f;
    y = y * m + 1.1676998740e-1f;
    y = y * m + -1.2420140846e-1f;
    y = y * m + 1.4249322787e-1f;
    y = y * m + -1.6668057665e-1f;
    y = y * m + 2.0000714765e-1f;
    y = y * m + -2.4999993993e-1f;
    y = y * m + 3.3333331174e-1f;
    y = (y * m) * z;
    y = (y + e * -2.12194440e-4f) - z * 0.5f;
    const float logarithm = (m + y) + e * 0.693359375f;
    return p < 1.17549435e-38f ? sum : sum - p * logarithm;  // the comparison is false for NaN, which reaches the sum
}

__device__ __forceinline__ float limited(float x) {
    const float y = x < 0.0f ? 0.0f : x;
    return y > 1.0f ? 1.0f : y;
}

// work(first channel's score of a voxel, j, k) for each voxel of the thread; i is the same for a block.
template <class S, class Work>
__device__ __forceinline__ void each_voxel(S* scores, const i64 (&strides)[4], const i64 (&size)[3], Work work) {
    const Tile tile(size[1], ROWS);
    const i64 i = tile.rest;
    for (i64 j = tile.begin + threadIdx.y; j < tile.end; j += blockDim.y) {
        S* score = scores + i * strides[1] + j * strides[2] + threadIdx.x * strides[3];
        for (i64 k = threadIdx.x; k < size[2]; k += LANES) {
            work(score, i, j, k);
            score += LANES * strides[3];
        }
    }
}

extern "C" __global__ void __launch_bounds__(256, 3) softmax(const __grid_constant__ Probabilities a) {
    each_voxel(a.scores, a.strides, a.size, [&](float* score, i64, i64, i64) {
        const i64 step = a.strides[0];
        const float* from = score;
        float top = *from;
#pragma unroll 4
        for (i64 c = 1; c < a.channels; c++) {
            from += step;
            const float x = *from;
            top = x > top ? x : top;
        }
        float total = 0.0f;
        float* to = score;
#pragma unroll 1
        for (i64 c = 0; c < a.channels; c++) {
            const float y = exponential(*to - top);
            total += y;
            *to = y;
            to += step;
        }
        to = score;
#pragma unroll 1  // the division's slow path is a call
        for (i64 c = 0; c < a.channels; c++) {
            *to = *to / total;
            to += step;
        }
    });
}

extern "C" __global__ void __launch_bounds__(256, 3) sigmoid(const __grid_constant__ Probabilities a) {
    each_voxel(a.scores, a.strides, a.size, [&](float* score, i64, i64, i64) {
#pragma unroll 1
        for (i64 c = 0; c < a.channels; c++) {
            const float x = *score;
            const bool above = x >= 0.0f;
            const float y = exponential(above ? -x : x);
            *score = (above ? 1.0f : y) / (1.0f + y);
            score += a.strides[0];
        }
    });
}

extern "C" __global__ void __launch_bounds__(256, 3) limit(const __grid_constant__ Probabilities a) {
    each_voxel(a.scores, a.strides, a.size, [&](float* score, i64, i64, i64) {
        for (i64 c = 0; c < a.channels; c++) {
            *score = limited(*score);
            score += a.strides[0];
        }
    });
}

extern "C" __global__ void __launch_bounds__(256, 3) improbable(const __grid_constant__ Probabilities a) {
    unsigned int outside = 0, off_sum = 0;
    const float high = 1.0f + a.tolerance;
    each_voxel(a.scores, a.strides, a.size, [&](const float* score, i64, i64, i64) {
        float total = 0.0f;
        bool wrong = false;
#pragma unroll 4
        for (i64 c = 0; c < a.channels; c++) {
            const float x = *score;
            total += x;
            wrong = wrong || x < -a.tolerance || x > high;
            score += a.strides[0];
        }
        const float distance = total - 1.0f;
        outside += wrong;
        off_sum += distance > a.tolerance || -distance > a.tolerance;
    });
    tally(a.outside, outside);
    __syncthreads();  // both use the same word of shared memory
    tally(a.off_sum, off_sum);
}

template <bool EXCLUSIVE> __device__ __forceinline__ void entropy(const Entropy& a) {
    each_voxel(a.values, a.values_strides, a.size, [&](const float* value, i64 i, i64 j, i64 k) {
        float sum = 0.0f;
#pragma unroll 2
        for (i64 c = 0; c < a.channels; c++) {
            const float p = *value;
            sum = with_term(sum, p);
            if (!EXCLUSIVE) sum = with_term(sum, 1.0f - p);
            value += a.values_strides[0];
        }
        a.out[i * a.out_strides[0] + j * a.out_strides[1] + k * a.out_strides[2]] = limited(sum * a.scale);
    });
}

extern "C" __global__ void __launch_bounds__(256, 3) entropy_classes(const __grid_constant__ Entropy a) {
    entropy<true>(a);
}
extern "C" __global__ void __launch_bounds__(256, 3) entropy_masks(const __grid_constant__ Entropy a) {
    entropy<false>(a);
}
