// Arrays of any dtype with up to eight axes, for the library: copied, converted, zoomed and divided.
//
//   take      out[i0, i1, ...] = src[t0[i0], t1[i1], ...]   bit by bit; a constant where an index is negative
//   convert   out[i0, i1, ...] = src[i0, i1, ...]           between the pairs of dtypes that are asked for most
//   linear    out[i0, i1, ...] = sum over corners of ((src[corner] * w_0) * w_1) * ...   in float64
//   divide    out[i0, i1, ...] = sums[i0, i1, ...] / weights[i0, i1, ...]                 in float32
//
// The corner sums are SciPy's: the last weighted axis turns fastest, its lower neighbour first. A sample of weight 0 has
// no part in them, even where it is infinite or NaN. The upper weight is 1 - (1 - w), as in SciPy: the last bit decides
// which way a half is rounded. Strides are in bytes and signed, 0 where an array is broadcast.
//
// Lanes of a warp follow the last axis, on which the caller puts the output's fastest. One kernel of `linear` serves every
// dtype, without weighted axes every conversion too: the switches below are taken by all threads alike.

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
    int from, to;  // kinds of numbers, see below
    int swap;      // bytes of the source are in the other order
    int rounds;    // to integers: half away from zero, unsigned ones clipped; else truncated
};

enum Kind { B1, I1, U1, I2, U2, I4, U4, I8, U8, F2, F4, F8 };

__device__ __forceinline__ bool is_float(int kind) { return kind >= F2; }

__device__ __forceinline__ i64 load_integer(const unsigned char* at, int kind, bool swap) {
    switch (kind) {
        case B1: return *at != 0;
        case I1: return *reinterpret_cast<const signed char*>(at);
        case U1: return *at;
        case I2: return load(reinterpret_cast<const short*>(at), swap);
        case U2: return load(reinterpret_cast<const unsigned short*>(at), swap);
        case I4: return load(reinterpret_cast<const int*>(at), swap);
        case U4: return load(reinterpret_cast<const unsigned int*>(at), swap);
        default: return load(reinterpret_cast<const i64*>(at), swap);  // of unsigned ones, the bits
    }
}

__device__ __forceinline__ double load_number(const unsigned char* at, int kind, bool swap) {
    switch (kind) {
        case F2: return to_float(load(reinterpret_cast<const half_t*>(at), swap));
        case F4: return load(reinterpret_cast<const float*>(at), swap);
        case F8: return load(reinterpret_cast<const double*>(at), swap);
        case U8: return static_cast<double>(load(reinterpret_cast<const u64*>(at), swap));
        default: return static_cast<double>(load_integer(at, kind, swap));
    }
}

__device__ __forceinline__ void store_integer(unsigned char* at, int kind, i64 x) {
    switch (kind) {
        case B1: *at = x != 0; break;
        case I1:
        case U1: *at = static_cast<unsigned char>(x); break;
        case I2:
        case U2: *reinterpret_cast<unsigned short*>(at) = static_cast<unsigned short>(x); break;
        case I4:
        case U4: *reinterpret_cast<unsigned int*>(at) = static_cast<unsigned int>(x); break;
        default: *reinterpret_cast<i64*>(at) = x;
    }
}

// The greatest value of an unsigned kind.
__device__ __forceinline__ u64 greatest(int kind) {
    return kind == U1 ? 0xffull : kind == U2 ? 0xffffull : kind == U4 ? 0xffffffffull : ~0ull;
}

__device__ __forceinline__ bool is_unsigned(int kind) { return kind == U1 || kind == U2 || kind == U4 || kind == U8; }

// To binary16 in one rounding: the float between holds the sticky bit (round to odd).
__device__ __forceinline__ unsigned short double_to_half(double x) {
    union {
        float value;
        unsigned int bits;
    } near = {static_cast<float>(x)};
    const double back = near.value;
    if (back != x && x == x) {
        const bool beyond = back < 0 ? back < x : back > x;
        near.bits -= beyond ? 1u : 0u;
        near.bits |= 1u;
    }
    return float_to_half(near.value);
}

__device__ __forceinline__ void store_number(unsigned char* at, int kind, double x, bool rounds) {
    if (kind == F4) {
        *reinterpret_cast<float*>(at) = static_cast<float>(x);
    } else if (kind == F8) {
        *reinterpret_cast<double*>(at) = x;
    } else if (kind == F2) {
        reinterpret_cast<half_t*>(at)->bits = double_to_half(x);
    } else if (kind == B1) {
        *at = rounds ? x >= 1.0 : x != 0.0;
    } else {
        if (rounds) x = x > 0.0 ? x + 0.5 : x - 0.5;
        const u64 most = greatest(kind);
        if (rounds && is_unsigned(kind) && !(x > 0.0)) {
            store_integer(at, kind, 0);
        } else if (is_unsigned(kind) && x >= static_cast<double>(most)) {
            store_integer(at, kind, static_cast<i64>(most));
        } else if (is_unsigned(kind) && x > 0.0) {
            store_integer(at, kind, static_cast<i64>(static_cast<u64>(x)));
        } else {
            store_integer(at, kind, static_cast<i64>(x));
        }
    }
}

// Between integers nothing passes through a double, which holds 53 bits.
__device__ __forceinline__ void convert(unsigned char* to, const unsigned char* from, const Arrays& a) {
    if (is_float(a.from) || is_float(a.to)) {
        store_number(to, a.to, load_number(from, a.from, a.swap != 0), a.rounds != 0);
        return;
    }
    i64 x = load_integer(from, a.from, a.swap != 0);
    if (a.to == B1) {
        x = a.rounds ? x > 0 || (a.from == U8 && x != 0) : x != 0;
    } else if (a.rounds && is_unsigned(a.to)) {
        if (a.from == U8 ? static_cast<u64>(x) > greatest(a.to) : x > 0 && static_cast<u64>(x) > greatest(a.to)) {
            x = static_cast<i64>(greatest(a.to));
        } else if (a.from != U8 && x < 0) {
            x = 0;
        }
    }
    store_integer(to, a.to, x);
}

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

template <class T> __device__ __forceinline__ void take(const Arrays& a) {
    rows<0>(a, [&a](const Place<0>& start, i64 begin, i64 end) {
        const Line& fast = a.axis[a.axes - 1];
        const unsigned char* from = static_cast<const unsigned char*>(a.src) + start.from;
        unsigned char* to = static_cast<unsigned char*>(a.dst) + start.to + begin * fast.dst_stride;
        const int size = static_cast<int>(end - begin);
        const auto write = [](unsigned char* at, T x) { *reinterpret_cast<T*>(at) = x; };
        if (fast.lower == nullptr && !start.constant) {
            each<T>(
                from + begin * fast.src_stride, fast.src_stride, to, fast.dst_stride, size,
                [](const unsigned char* at) { return *reinterpret_cast<const T*>(at); }, write);
            return;
        }
        // the table is walked as if it were the source
        const i64 table_stride = fast.lower == nullptr ? 0 : sizeof(i64);
        each<T>(
            reinterpret_cast<const unsigned char*>(fast.lower) + begin * table_stride, table_stride, to, fast.dst_stride,
            size,
            [&](const unsigned char* index) {
                const i64 lower = start.constant ? -1 : *reinterpret_cast<const i64*>(index);
                return lower < 0 ? static_cast<T>(a.bits) : *reinterpret_cast<const T*>(from + lower * fast.src_stride);
            },
            write);
    });
}

template <class S, class D> __device__ __forceinline__ D converted(const S& x, bool) {
    D result;
    store(&result, to_float(x));
    return result;
}
template <> __device__ __forceinline__ double converted(const float& x, bool) { return static_cast<double>(x); }

// As `store_number` does, without float64: nothing is added that could be rounded.
template <> __device__ __forceinline__ unsigned char converted(const float& x, bool rounds) {
    if (!rounds) return x >= 255.0f ? 255 : static_cast<unsigned char>(static_cast<i64>(x));
    const float positive = x > 0.0f ? x : 0.0f;  // 0 for NaN
    const float least = positive < 255.0f ? positive : 255.0f;
    const unsigned int whole = static_cast<unsigned int>(least);
    return static_cast<unsigned char>(whole + (least - static_cast<float>(whole) >= 0.5f ? 1u : 0u));
}

// N numbers that are read or written at once.
template <class T, int N> struct __align__(N * sizeof(T)) Pack {
    T number[N];
};

template <class S, class D> __device__ __forceinline__ void converts(const Arrays& a) {
    static const int N = 16 / (sizeof(S) > sizeof(D) ? sizeof(S) : sizeof(D));
    rows<0>(a, [&a](const Place<0>& start, i64 begin, i64 end) {
        const Line& fast = a.axis[a.axes - 1];
        const unsigned char* from = static_cast<const unsigned char*>(a.src) + start.from + begin * fast.src_stride;
        unsigned char* to = static_cast<unsigned char*>(a.dst) + start.to + begin * fast.dst_stride;
        const bool rounds = a.rounds != 0, swap = a.swap != 0;
        int size = static_cast<int>(end - begin);
        typedef Pack<S, N> Read;
        typedef Pack<D, N> Written;
        const bool dense = fast.src_stride == sizeof(S) && fast.dst_stride == sizeof(D) &&
                           reinterpret_cast<u64>(from) % sizeof(Read) == 0 &&
                           reinterpret_cast<u64>(to) % sizeof(Written) == 0;
        if (dense && !swap) {
            const int packs = size / N;
            each<Read>(
                from, sizeof(Read), to, sizeof(Written), packs,
                [](const unsigned char* at) { return *reinterpret_cast<const Read*>(at); },
                [&](unsigned char* at, const Read& read) {
                    Written written;
                    if (rounds) {
#pragma unroll
                        for (int n = 0; n < N; n++) written.number[n] = converted<S, D>(read.number[n], true);
                    } else {
#pragma unroll
                        for (int n = 0; n < N; n++) written.number[n] = converted<S, D>(read.number[n], false);
                    }
                    *reinterpret_cast<Written*>(at) = written;
                });
            from += packs * sizeof(Read);
            to += packs * sizeof(Written);
            size -= packs * N;
        }
        each<S>(
            from, fast.src_stride, to, fast.dst_stride, size,
            [&](const unsigned char* at) { return load(reinterpret_cast<const S*>(at), swap); },
            [&](unsigned char* at, const S& x) { *reinterpret_cast<D*>(at) = converted<S, D>(x, rounds); });
    });
}

template <int N> __device__ __forceinline__ void linear(const Arrays& a) {
    walk<N>(a, [&a](const Place<N>& place) {
        const unsigned char* from = static_cast<const unsigned char*>(a.src) + place.from;
        unsigned char* to = static_cast<unsigned char*>(a.dst) + place.to;
        if (place.constant) {
            store_number(to, a.to, a.constant, a.rounds != 0);
            return;
        }
        if (N == 0) {
            convert(to, from, a);
            return;
        }
        double total = 0.0;
#pragma unroll 1
        for (int corner = 0; corner < 1 << N; corner++) {
            i64 offset = 0;
            bool counts = true, absent = false;
#pragma unroll
            for (int n = 0; n < N; n++) {
                const bool far = (corner >> (N - 1 - n) & 1) != 0;
                offset += far ? place.high[n] : place.low[n];
                counts = counts && !(far && place.near[n] == 1.0);
                absent = absent || (place.absent >> (2 * n + (far ? 1 : 0)) & 1u) != 0;
            }
            if (!counts) continue;
            double value = absent ? a.constant : load_number(from + offset, a.from, a.swap != 0);
#pragma unroll
            for (int n = 0; n < N; n++)
                value *= (corner >> (N - 1 - n) & 1) != 0 ? 1.0 - place.near[n] : place.near[n];
            total += value;
        }
        store_number(to, a.to, total, a.rounds != 0);
    });
}

extern "C" __global__ void __launch_bounds__(256, 3) take_1(const __grid_constant__ Arrays a) { take<unsigned char>(a); }
extern "C" __global__ void __launch_bounds__(256, 3) take_2(const __grid_constant__ Arrays a) { take<unsigned short>(a); }
extern "C" __global__ void __launch_bounds__(256, 3) take_4(const __grid_constant__ Arrays a) { take<unsigned int>(a); }
extern "C" __global__ void __launch_bounds__(256, 3) take_8(const __grid_constant__ Arrays a) { take<u64>(a); }

#define CONVERT(S, D, NAME)                                                                                \
    extern "C" __global__ void __launch_bounds__(256, 3) convert_##NAME(const __grid_constant__ Arrays a) { \
        converts<S, D>(a);                                                                                 \
    }

CONVERT(unsigned char, float, u1_f4)
CONVERT(short, float, i2_f4)
CONVERT(unsigned short, float, u2_f4)
CONVERT(half_t, float, f2_f4)
CONVERT(double, float, f8_f4)
CONVERT(float, half_t, f4_f2)
CONVERT(float, double, f4_f8)
CONVERT(float, unsigned char, f4_u1)

// three and four weighted axes need the registers of two blocks per multiprocessor
extern "C" __global__ void __launch_bounds__(256, 3) linear_0(const __grid_constant__ Arrays a) { linear<0>(a); }
extern "C" __global__ void __launch_bounds__(256, 3) linear_1(const __grid_constant__ Arrays a) { linear<1>(a); }
extern "C" __global__ void __launch_bounds__(256, 3) linear_2(const __grid_constant__ Arrays a) { linear<2>(a); }
extern "C" __global__ void __launch_bounds__(256, 2) linear_3(const __grid_constant__ Arrays a) { linear<3>(a); }
extern "C" __global__ void __launch_bounds__(256, 2) linear_4(const __grid_constant__ Arrays a) { linear<4>(a); }

struct Quotient {
    const float* count;  // factor of the weight per index where there is no array of weights; null: 1
    i64 sums_stride, out_stride, weights_stride;
    i64 size;
};

struct Divide {
    const void* sums;     // float32
    void* out;            // may be `sums`
    const void* weights;  // float32; null: the product of the counts
    Quotient axis[MOST_AXES];
    int axes;
    int to;  // kind of the output
};

struct Share {
    float sum, weight;
};

extern "C" __global__ void __launch_bounds__(256, 3) divide(const __grid_constant__ Divide a) {
    Piece piece(a.axis[a.axes - 1].size);
    const unsigned char* sums = static_cast<const unsigned char*>(a.sums);
    const unsigned char* weights = static_cast<const unsigned char*>(a.weights);
    unsigned char* out = static_cast<unsigned char*>(a.out);
    float count = 1.0f;
    for (int axis = a.axes - 2; axis >= 0; axis--) {
        const Quotient& line = a.axis[axis];
        const i64 index = taken_off(piece.row, line.size);
        sums += index * line.sums_stride;
        out += index * line.out_stride;
        weights += index * line.weights_stride;
        if (line.count != nullptr) count *= line.count[index];
    }
    if (piece.row > 0) return;
    const Quotient& fast = a.axis[a.axes - 1];
    for (i64 begin = piece.begin + threadIdx.x; begin < piece.end; begin += UNDER_WAY * LANES) {
        in_flight<Share>(
            static_cast<int>((piece.end - begin + LANES - 1) / LANES),
            [&](int n) {
                const i64 k = begin + n * LANES;
                Share share = {*reinterpret_cast<const float*>(sums + k * fast.sums_stride), count};
                if (fast.count != nullptr) share.weight = count * fast.count[k];
                if (a.weights != nullptr) share.weight = *reinterpret_cast<const float*>(weights + k * fast.weights_stride);
                return share;
            },
            [&](int n, const Share& share) {
                store_number(out + (begin + n * LANES) * fast.out_stride, a.to, share.sum / share.weight, false);
            });
    }
}
