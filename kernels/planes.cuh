// The source under a tile of outputs, interpolated in shared memory: along o, then p, then q, each rounded as `mix`
// states.
//
//   plane  [count_p + 1, pitch]               interpolated along o: a warp reads it from the source along p and writes
//                                             it without bank conflicts, as the pitch is odd
//   mixed  [outputs of p / 4, pitch] of Quad  interpolated along p as well: once per row of outputs and column of the
//                                             plane, since all outputs of a row read the same few columns
//
// Outputs are interpolated along q from `mixed`, by the kernel itself. Row count_p of the plane and column count_q of
// `mixed` hold zeros, see Neighbours.

// The two neighbours of an output in shared memory, and what each is multiplied by. The same bits as `mix`, without a
// comparison: a neighbour of weight 0 is read from a place that holds 0, and its weight is -0. Then 1 * x + -0 * 0 is
// x + -0, which is x for every number, zeros of both signs and infinite ones included.
struct __align__(16) Neighbours {
    int low, high;  // bytes from the row's or the column's first
    float rest, weight;

    __device__ __forceinline__ float operator()(float x, float y) const { return rest * x + weight * y; }

    template <class T> __device__ __forceinline__ const T* lower(const T* first) const { return moved(first, low); }
    template <class T> __device__ __forceinline__ const T* upper(const T* first) const { return moved(first, high); }

  private:
    template <class T> __device__ __forceinline__ static const T* moved(const T* first, int bytes) {
        return reinterpret_cast<const T*>(reinterpret_cast<const char*>(first) + bytes);
    }
};

// Output `index` of an axis: inputs are `step` bytes apart, `first` at the beginning; a zero lies at `zero` bytes.
__device__ __forceinline__ Neighbours neighbours(const Axis& axis, i64 index, int first, int step, int zero) {
    const float w = axis.weight[index];
    Neighbours found;
    found.low = (axis.lower[index] - first) * step;
    found.high = w == 0.0f ? zero : (axis.upper[index] - first) * step;
    found.rest = axis.rest[index];
    found.weight = w == 0.0f ? -0.0f : w;
    return found;
}

// Four rows of a column: read and written at once.
struct __align__(16) Quad {
    float row[4];
};

// The samples under a tile: between which two planes of the source they lie, and what of them a thread stages.
template <class S> struct Under {
    const S* low;  // the thread's first sample
    i64 apart;     // from there to the neighbour along o
    float rest, weight;
    i64 step_p, step_q;  // of samples in the order in which they are read
    int count_p, count_q;
    int pitch;
    i64 own;    // from the tile's first sample to the thread's
    int place;  // of the thread's first sample in the plane
    int down;   // from there to the sample LANES further in memory

    __device__ __forceinline__ Under(
        const Axis& p, const Axis& q, int tile_p, int tile_q, const i64 (&strides)[4], int pitch)
        : low(nullptr), apart(0), rest(1.0f), weight(0.0f), step_p(strides[2]), step_q(strides[3]),
          count_p(p.count[tile_p]), count_q(q.count[tile_q]), pitch(pitch) {
        // a run that goes backwards is read from its end, the least address: the compiler then knows how far apart samples
        // lie
        const int lane = threadIdx.x, end = count_p - 1;
        const bool back = step_p == -1;
        own = threadIdx.y * step_q + (back ? lane - end : lane * step_p);
        place = threadIdx.y + (back ? end - lane : lane) * pitch;
        down = (back ? -LANES : LANES) * pitch;
        if (back) step_p = 1;
    }

    // `base` is the thread's first sample in plane 0.
    __device__ __forceinline__ void between(const S* base, const Axis& o, i64 index, i64 stride) {
        low = base + o.lower[index] * stride;
        apart = (o.upper[index] - o.lower[index]) * stride;
        rest = o.rest[index];
        weight = o.weight[index];
    }

    // Zeros after the samples.
    __device__ __forceinline__ void clear(float* plane, Quad* mixed, int tile) const {
        const int thread = threadIdx.y * LANES + threadIdx.x;
        if (thread < tile) mixed[(thread >> 2) * pitch + count_q].row[thread & 3] = 0.0f;
#pragma unroll 1
        for (int q = thread; q < count_q; q += LANES * GROUPS) plane[count_p * pitch + q] = 0.0f;
    }

    // The plane. Both functions give a sample's value, with the same bits: `simple` costs less and has to hold for all
    // samples if `is_simple`. A thread takes N samples of a row of the source, LANES apart, in flight together: FEW if
    // that is enough for the whole row, else MANY.
    template <int FEW, int MANY, class Simple, class Read>
    __device__ __forceinline__ void stage(float* plane, bool is_simple, Simple simple, Read read) const {
        if (!is_simple || step_p != 1)
            stage_samples(plane, read);
        else if (weight != 0.0f)
            stage_runs<FEW, MANY, true>(plane, simple);
        else
            stage_runs<FEW, MANY, false>(plane, simple);
    }

  private:
    template <int FEW, int MANY, bool BETWEEN, class Read>
    __device__ __forceinline__ void stage_runs(float* plane, Read read) const {
        if (count_p <= FEW * LANES)
            stage_runs<FEW, BETWEEN>(plane, read);
        else
            stage_runs<MANY, BETWEEN>(plane, read);
    }

    // Samples that follow each other in memory. Pointers step: a sample costs no multiplication.
    template <int N, bool BETWEEN, class Read>
    __device__ __forceinline__ void stage_runs(float* plane, Read read) const {
        const i64 step = GROUPS * step_q;
        const S* first = low;
        float* start = plane + place;
#pragma unroll 1
        for (int left_p = count_p - static_cast<int>(threadIdx.x); left_p > 0; left_p -= N * LANES) {
            const S* low_sample = first;
            const S* high_sample = first + apart;
            float* to[N];
#pragma unroll
            for (int n = 0; n < N; n++) to[n] = start + n * down;
#pragma unroll 1
            for (int left_q = count_q - static_cast<int>(threadIdx.y); left_q > 0; left_q -= GROUPS) {
                S lower[N], upper[N];
#pragma unroll
                for (int n = 0; n < N; n++) {
                    if (n == 0 || n * LANES < left_p) {
                        lower[n] = low_sample[n * LANES];
                        if (BETWEEN) upper[n] = high_sample[n * LANES];
                    }
                }
#pragma unroll
                for (int n = 0; n < N; n++) {
                    if (n == 0 || n * LANES < left_p) {
                        const float x = read(lower[n]);
                        *to[n] = BETWEEN ? rest * x + weight * read(upper[n]) : x;
                    }
                    to[n] += GROUPS;
                }
                low_sample += step;
                high_sample += step;
            }
            first += N * LANES;
            start += N * down;
        }
    }

    // Samples in any order.
    template <class Read> __device__ __forceinline__ void stage_samples(float* plane, Read read) const {
        const i64 step = GROUPS * step_q;
        const S* first = low;
        float* start = plane + place;
#pragma unroll 1
        for (int p = threadIdx.x; p < count_p; p += LANES) {
            const S* sample = first;
#pragma unroll 2
            for (int q = 0; q < count_q - static_cast<int>(threadIdx.y); q += GROUPS) {
                float x = read(*sample);
                if (weight != 0.0f) x = rest * x + weight * read(sample[apart]);
                start[q] = x;
                sample += step;
            }
            first += LANES * step_p;
            start += down;
        }
    }
};

// Four rows of a column of `mixed`.
__device__ __forceinline__ Quad mix_rows(const Neighbours (&rows)[4], const float* column) {
    Quad quad;
#pragma unroll
    for (int n = 0; n < 4; n++) quad.row[n] = rows[n](*rows[n].lower(column), *rows[n].upper(column));
    return quad;
}

// `mixed` from the plane: `tile` rows, of which `rows` are the neighbours. A thread takes four rows of N columns at a
// time, of 1 or 2.
template <int N>
__device__ __forceinline__ void mix_plane(
    const Neighbours* rows, int tile, int count_q, int pitch, const float* plane, Quad* mixed) {
#pragma unroll 1
    for (int q = threadIdx.x; q < count_q; q += N * LANES) {
        const bool second = N > 1 && q + LANES < count_q;
        const Neighbours* row = rows + 4 * threadIdx.y;
        Quad* to = mixed + threadIdx.y * pitch + q;
#pragma unroll 1
        for (int p = 4 * threadIdx.y; p < tile; p += 4 * GROUPS) {
            const Neighbours own[4] = {row[0], row[1], row[2], row[3]};
            to[0] = mix_rows(own, plane + q);
            if (second) to[LANES] = mix_rows(own, plane + q + LANES);
            row += 4 * GROUPS;
            to += GROUPS * pitch;
        }
    }
}

__device__ __forceinline__ void mix_plane(
    const Neighbours* rows, int tile, int count_q, int pitch, const float* plane, Quad* mixed) {
    if (count_q > LANES)
        mix_plane<2>(rows, tile, count_q, pitch, plane, mixed);
    else
        mix_plane<1>(rows, tile, count_q, pitch, plane, mixed);
}
