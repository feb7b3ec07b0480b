// Conversions between the pairs of dtypes that are asked for most, 16 bytes at a time.
//
//   out[i0, i1, ...] = src[i0, i1, ...]       the bits of arrays.cu's `linear` without weighted axes, which converts the rest
//
// There a switch and float64 take some hundred instructions for every number.

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
