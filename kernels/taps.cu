// Weighted sums of neighbours along one axis.
//
//   out[o, p, q] = after( sum over k < count of weight_k * before(src[..., first + k, ...]) )
//
// in float32, in the order of k. The axis is any of the three; q is the output's fastest axis in memory, p the source's
// fastest among the other two. One thread per output: neighbours along q read neighbouring samples, and those along the
// axis the same ones again, from the cache.

struct Taps {
    const void* src;
    void* dst;
    const int* first;
    const int* count;
    const float* weights;  // [taps, outputs]
    i64 src_strides[4];    // 0, o, p, q
    i64 dst_strides[4];
    i64 size[4];  // 1 and outputs along o, p, q
    i64 outputs;
    Affine before, after;
    int axis;  // 1, 2, 3: o, p, q
    int swap;  // bytes of the source are in the other order
};

template <class S, class D> __device__ __forceinline__ void taps(const Taps& a) {
    const Column at(a.size);
    if (at.count <= 0) return;
    const i64 step = a.src_strides[a.axis];
    const S* const base = static_cast<const S*>(a.src) + (a.axis == 1 ? 0 : at.o * a.src_strides[1]) +
                          (a.axis == 3 ? 0 : at.q * a.src_strides[3]);
    const i64 row = a.axis == 2 ? 0 : a.src_strides[2];
    D* const out = static_cast<D*>(a.dst) + at.o * a.dst_strides[1] + at.q * a.dst_strides[3];
    const int rows = at.count < UNDER_WAY ? at.count : UNDER_WAY;
    for (int n = 0; n < rows; n++) {
        const int p = at.p + n * GROUPS;
        const int output = a.axis == 1 ? static_cast<int>(at.o) : a.axis == 2 ? p : at.q;
        const int count = a.count[output];
        const S* from = base + p * row + a.first[output] * step;
        const float* weight = a.weights + output;
        float sum = *weight * apply<false>(a.before, a.swap, *from);
#pragma unroll 4
        for (int k = 1; k < count; k++) {
            from += step;
            weight += a.outputs;
            sum = sum + *weight * apply<false>(a.before, a.swap, *from);
        }
        store(out + p * a.dst_strides[2], apply(a.after, sum));
    }
}

#define TAPS_PAIR(S, D, NAME)                                                                      \
    extern "C" __global__ void __launch_bounds__(256, 3) taps_##NAME(const __grid_constant__ Taps a) { \
        taps<S, D>(a);                                                                             \
    }
#define TAPS(S, NAME)               \
    TAPS_PAIR(S, float, NAME##_f4)  \
    TAPS_PAIR(S, half_t, NAME##_f2)

TAPS(signed char, i1)
TAPS(unsigned char, u1)
TAPS(short, i2)
TAPS(unsigned short, u2)
TAPS(int, i4)
TAPS(unsigned int, u4)
TAPS(i64, i8)
TAPS(u64, u8)
TAPS(half_t, f2)
TAPS(float, f4)
TAPS(double, f8)
