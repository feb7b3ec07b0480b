// How the kernels of arrays.cu and convert.cu walk over arrays with up to eight axes.
//
// Strides are in bytes and signed, 0 where an array is broadcast. Lanes of a warp follow the last axis, on which the caller
// puts the output's fastest.

static const int MOST_AXES = 8;
static const int WARPS = 8;       // of a block
static const int COLUMNS = 2048;  // outputs of a warp along the last axis

struct Line {
    const i64* lower;      // source index per output; null: the output's own. -1: a constant sample, -2: a constant output
    const i64* upper;      // second neighbour, where rank >= 0
    const double* weight;  // of `upper`
    i64 src_stride, dst_stride;
    i64 size;  // outputs
    i64 rank;  // which weighted axis this is, -1: none
};

struct Arrays {
    const void* src;
    void* dst;
    Line axis[MOST_AXES];
    double constant;
    u64 bits;    // the constant as `take` stores it
    int axes;
    int from, to;  // kinds of numbers, see arrays.cu
    int swap;      // bytes of the source are in the other order
    int rounds;    // to integers: half away from zero, unsigned ones clipped; else truncated
};

// Where one output reads: the offsets of both neighbours per weighted axis, and of the other axes together.
template <int N> struct Place {
    i64 low[N ? N : 1], high[N ? N : 1];
    double near[N ? N : 1];  // weight of the lower one
    unsigned int absent;  // bits 2n and 2n + 1: the lower, the upper neighbour of axis n is the constant
    i64 from, to;
    bool constant;
};

template <int N> __device__ __forceinline__ void step(Place<N>& place, const Line& line, i64 index) {
    place.to += index * line.dst_stride;
    const i64 lower = line.lower == nullptr ? index : line.lower[index];
    if (N == 0 || line.rank < 0) {
        if (lower < 0) place.constant = true;
        place.from += lower * line.src_stride;
        return;
    }
    const i64 upper = line.upper[index];
    const double near = 1.0 - line.weight[index];
    if (lower == -2) place.constant = true;
#pragma unroll
    for (int n = 0; n < N; n++) {
        if (line.rank == n) {
            place.low[n] = lower * line.src_stride;
            place.high[n] = upper * line.src_stride;
            place.near[n] = near;
            place.absent &= ~(3u << 2 * n);
            place.absent |= (lower < 0 ? 1u : 0u) << 2 * n | (upper < 0 ? 2u : 0u) << 2 * n;
        }
    }
}

// `row` taken apart: its index along an axis of `size`; what is left of it counts the axes before. A division of 64 bits is
// a call of some hundred instructions, and few arrays have that many rows.
__device__ __forceinline__ i64 taken_off(i64& row, i64 size) {
    const i64 whole = row;
    if (((whole | size) >> 32) == 0)
        row = static_cast<unsigned int>(whole) / static_cast<unsigned int>(size);
    else
        row = whole / size;
    return whole - row * size;
}

// The outputs of a warp: COLUMNS of the last axis, whose pieces are counted fastest, then the rows before it. Every warp of
// a block has a piece of its own, be there one long row or many short ones.
struct Piece {
    i64 row, begin, end;

    __device__ __forceinline__ explicit Piece(i64 size) {
        row = static_cast<i64>(blockIdx.x) * WARPS + threadIdx.y;
        begin = taken_off(row, (size + COLUMNS - 1) / COLUMNS) * COLUMNS;
        end = least(begin + COLUMNS, size);
    }
};

// Calls what(start, begin, end) once per thread, alike for all of a warp: outputs `begin` to `end` of the last axis are the
// warp's; `start` is where that axis begins.
template <int N, class What> __device__ __forceinline__ void rows(const Arrays& a, What what) {
    Piece piece(a.axis[a.axes - 1].size);
    Place<N> start;
    start.absent = 0;
    start.from = start.to = 0;
    start.constant = false;
#pragma unroll
    for (int n = 0; n < N; n++) {
        start.low[n] = start.high[n] = 0;
        start.near[n] = 0.0;
    }
#pragma unroll 1
    for (int axis = a.axes - 2; axis >= 0; axis--) step<N>(start, a.axis[axis], taken_off(piece.row, a.axis[axis].size));
    if (piece.row > 0) return;  // beyond the last row
    what(start, piece.begin, piece.end);
}

// Calls what(place) for each output of this thread.
template <int N, class What> __device__ __forceinline__ void walk(const Arrays& a, What what) {
    rows<N>(a, [&](const Place<N>& start, i64 begin, i64 end) {
        for (i64 k = begin + threadIdx.x; k < end; k += LANES) {
            Place<N> place = start;
            step<N>(place, a.axis[a.axes - 1], k);
            what(place);
        }
    });
}

// write(to, read(from)) for `size` elements whose addresses are so many bytes apart, of which the warp's lanes take one each.
template <class T, class Read, class Write>
__device__ __forceinline__ void each(
    const unsigned char* from, i64 from_stride, unsigned char* to, i64 to_stride, int size, Read read, Write write) {
    from += threadIdx.x * from_stride;
    to += threadIdx.x * to_stride;
    const i64 from_next = LANES * from_stride, to_next = LANES * to_stride;
#pragma unroll 1
    for (int k = threadIdx.x; k < size; k += UNDER_WAY * LANES) {
        in_flight<T>(
            (size - k + LANES - 1) / LANES,
            [&](int) {
                const unsigned char* const here = from;
                from += from_next;
                return read(here);
            },
            [&](int, const T& x) {
                write(to, x);
                to += to_next;
            });
    }
}
