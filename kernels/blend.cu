// One window's scores into the rolling accumulator.
//
//   w                       = repeats * importance[i, j, k]             (importance null: w = repeats)
//   sums[c, ring(i, j, k)] += w * scores[c, i, j, k]                    for every channel c
//   weights[ring(i, j, k)] += w                                         (weights null: nothing)
//   ring(i, j, k)           = (origin + (i, j, k)) mod height, per axis
//
// over the part of the window inside the grid. One thread owns a voxel with all its channels, and windows are launched
// one after the other, so that every sum is taken in float32 in the windows' order, without atomics.
//
// Sums that are in several parts (rows of a strip that one or several layers of windows cover) are written by one launch,
// too: the parts have no voxel in common.

struct Blend {
    const void* scores;       // at the first voxel inside the grid
    float* sums;
    float* weights;           // may be null
    const float* importance;  // at the first voxel inside the grid; may be null
    i64 scores_strides[4];    // c, i, j, k
    i64 sums_strides[4];
    i64 weights_strides[3];   // i, j, k
    i64 importance_strides[3];
    i64 size[3];              // of the part inside the grid
    i64 origin[3];            // its first voxel in the ring
    i64 height[3];            // of the ring
    i64 channels;
    float repeats;
};

static const int MOST_PARTS = 8;  // per launch: they travel in the argument

// As in Blend.
struct BlendPart {
    const void* scores;
    float* sums;
    float* weights;
    const float* importance;
    i64 sums_strides[4];
    i64 weights_strides[3];
    i64 size[3];
    i64 origin[3];
    i64 height[3];
    i64 end;  // of its blocks, which follow those of the part before
};

struct BlendParts {
    BlendPart parts[MOST_PARTS];
    i64 scores_strides[4];
    i64 importance_strides[3];
    i64 channels;
    float repeats;
};

static const int ROWS = 8;  // rows of j per block

// `window` has what all parts share; it may be the part, too.
template <class S, class W, class P>
__device__ __forceinline__ void blend(const W& window, const P& a, unsigned int block) {
    const Tile tile(a.size[1], ROWS, block);
    const i64 i = tile.rest;
    const i64 x = wrapped(a.origin[0] + i, a.height[0]);
    for (i64 j = tile.begin + threadIdx.y; j < tile.end; j += blockDim.y) {
        const i64 y = wrapped(a.origin[1] + j, a.height[1]);
        const S* const scores = static_cast<const S*>(a.scores) + i * window.scores_strides[1] + j * window.scores_strides[2];
        float* const sums = a.sums + x * a.sums_strides[1] + y * a.sums_strides[2];
        // up to the ring's end, then from its beginning
        i64 z = a.origin[2];
        for (i64 begin = 0, end; begin < a.size[2]; begin = end, z = 0) {
            end = least(a.size[2], begin + a.height[2] - z);
            i64 k = begin + threadIdx.x;
            const S* score = scores + k * window.scores_strides[3];
            float* sum = sums + (z + threadIdx.x) * a.sums_strides[3];
            const float* importance = nullptr;
            if (a.importance != nullptr)
                importance = a.importance + i * window.importance_strides[0] + j * window.importance_strides[1] +
                             k * window.importance_strides[2];
            float* weight = nullptr;
            if (a.weights != nullptr)
                weight = a.weights + x * a.weights_strides[0] + y * a.weights_strides[1] +
                         (z + threadIdx.x) * a.weights_strides[2];
            for (; k < end; k += LANES) {
                float w = window.repeats;
                if (a.importance != nullptr) w *= *importance;
                if (a.weights != nullptr) *weight += w;
                const S* from = score;
                float* to = sum;
                // two channels at a time: four loads are under way before the first result is needed
                i64 left = window.channels;
#pragma unroll 1  // unrolled, finding the way in costs more than two channels do
                for (; left > 1; left -= 2) {
                    const float first = to_float(*from);
                    const float held_first = *to;
                    float* const behind = to + a.sums_strides[0];
                    const float second = to_float(from[window.scores_strides[0]]);
                    const float held_second = *behind;
                    *to = held_first + w * first;
                    *behind = held_second + w * second;
                    from += 2 * window.scores_strides[0];
                    to = behind + a.sums_strides[0];
                }
                if (left > 0) *to += w * to_float(*from);
                score += LANES * window.scores_strides[3];
                importance += LANES * window.importance_strides[2];
                sum += LANES * a.sums_strides[3];
                weight += LANES * a.weights_strides[2];
            }
        }
    }
}

// The last part ends with the last block.
template <class S> __device__ __forceinline__ void blend_parts(const BlendParts& a) {
    int part = 0;
    i64 begin = 0;
#pragma unroll 1
    while (blockIdx.x >= a.parts[part].end) begin = a.parts[part++].end;
    blend<S>(a, a.parts[part], static_cast<unsigned int>(blockIdx.x - begin));
}

extern "C" __global__ void __launch_bounds__(256, 3) blend_f4(const __grid_constant__ Blend a) {
    blend<float>(a, a, blockIdx.x);
}
extern "C" __global__ void __launch_bounds__(256, 3) blend_f2(const __grid_constant__ Blend a) {
    blend<half_t>(a, a, blockIdx.x);
}
extern "C" __global__ void __launch_bounds__(256, 3) blend_parts_f4(const __grid_constant__ BlendParts a) {
    blend_parts<float>(a);
}
extern "C" __global__ void __launch_bounds__(256, 3) blend_parts_f2(const __grid_constant__ BlendParts a) {
    blend_parts<half_t>(a);
}
