// Arrays of any dtype with up to eight axes, for the library: copied, converted, zoomed and divided.
//
//   take      out[i0, i1, ...] = src[t0[i0], t1[i1], ...]   bit by bit; a constant where an index is negative
//   linear    out[i0, i1, ...] = sum over corners of ((src[corner] * w_0) * w_1) * ...   in float64
//   divide    out[i0, i1, ...] = sums[i0, i1, ...] / weights[p0[i0], p1[i1], ...]         in float32
//
// The corner sums are SciPy's: the last weighted axis turns fastest, its lower neighbour first. A sample of weight 0 has
// no part in them, even where it is infinite or NaN. The upper weight is 1 - (1 - w), as in SciPy: the last bit decides
// which way a half is rounded. One kernel of `linear` serves every dtype, without weighted axes every conversion too: the
// switches below are taken by all threads alike.

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

// three and four weighted axes need the registers of two blocks per multiprocessor
extern "C" __global__ void __launch_bounds__(256, 3) linear_0(const __grid_constant__ Arrays a) { linear<0>(a); }
extern "C" __global__ void __launch_bounds__(256, 3) linear_1(const __grid_constant__ Arrays a) { linear<1>(a); }
extern "C" __global__ void __launch_bounds__(256, 3) linear_2(const __grid_constant__ Arrays a) { linear<2>(a); }
extern "C" __global__ void __launch_bounds__(256, 2) linear_3(const __grid_constant__ Arrays a) { linear<3>(a); }
extern "C" __global__ void __launch_bounds__(256, 2) linear_4(const __grid_constant__ Arrays a) { linear<4>(a); }

struct Quotient {
    const float* count;  // factor of the weight per index where there is no array of weights; null: 1
    const i64* place;    // index in the weights per index; null: the same
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
        weights += (line.place == nullptr ? index : line.place[index]) * line.weights_stride;
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
                if (a.weights != nullptr) {
                    const i64 place = fast.place == nullptr ? k : fast.place[k];
                    share.weight = *reinterpret_cast<const float*>(weights + place * fast.weights_stride);
                }
                return share;
            },
            [&](int n, const Share& share) {
                store_number(out + (begin + n * LANES) * fast.out_stride, a.to, share.sum / share.weight, false);
            });
    }
}
