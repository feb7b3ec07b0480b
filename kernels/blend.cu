// One window's scores into the rolling accumulator.
//
//   w                       = repeats * importance[i, j, k]             (importance null: w = repeats)
//   sums[c, ring(i, j, k)] += w * scores[c, i, j, k]                    for every channel c
//   weights[ring(i, j, k)] += w                                         (weights null: nothing)
//   ring(i, j, k)           = (origin + (i, j, k)) mod height, per axis
//
// over the part of the window inside the grid. One thread owns a voxel with all its channels, and windows are launched
// one after the other, so that every sum is taken in float32 in the windows' order, without atomics.

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

static const int ROWS = 8;  // rows of j per block

template <class S> __device__ __forceinline__ void blend(const Blend& a) {
    const i64 tiles_j = (a.size[1] + ROWS - 1) / ROWS;
    const i64 tile_j = blockIdx.x % tiles_j;
    const i64 i = blockIdx.x / tiles_j;
    const i64 x = wrapped(a.origin[0] + i, a.height[0]);
    const i64 end_j = least(tile_j * ROWS + ROWS, a.size[1]);
    for (i64 k = threadIdx.x; k < a.size[2]; k += blockDim.x) {
        const i64 z = wrapped(a.origin[2] + k, a.height[2]);
        for (i64 j = tile_j * ROWS + threadIdx.y; j < end_j; j += blockDim.y) {
            const i64 y = wrapped(a.origin[1] + j, a.height[1]);
            float w = a.repeats;
            if (a.importance != nullptr)
                w *= a.importance[i * a.importance_strides[0] + j * a.importance_strides[1] + k * a.importance_strides[2]];
            if (a.weights != nullptr)
                a.weights[x * a.weights_strides[0] + y * a.weights_strides[1] + z * a.weights_strides[2]] += w;
            const S* from = static_cast<const S*>(a.scores) + i * a.scores_strides[1] + j * a.scores_strides[2] +
                            k * a.scores_strides[3];
            float* sum = a.sums + x * a.sums_strides[1] + y * a.sums_strides[2] + z * a.sums_strides[3];
            // two channels at a time: four loads are under way before the first result is needed
            i64 c = 0;
            for (; c + 1 < a.channels; c += 2) {
                const float first = to_float(from[c * a.scores_strides[0]]);
                const float second = to_float(from[(c + 1) * a.scores_strides[0]]);
                const float held_first = sum[c * a.sums_strides[0]];
                const float held_second = sum[(c + 1) * a.sums_strides[0]];
                sum[c * a.sums_strides[0]] = held_first + w * first;
                sum[(c + 1) * a.sums_strides[0]] = held_second + w * second;
            }
            if (c < a.channels) sum[c * a.sums_strides[0]] += w * to_float(from[c * a.scores_strides[0]]);
        }
    }
}

extern "C" __global__ void __launch_bounds__(256, 3) blend_f4(const __grid_constant__ Blend a) { blend<float>(a); }
extern "C" __global__ void __launch_bounds__(256, 3) blend_f2(const __grid_constant__ Blend a) { blend<half_t>(a); }
