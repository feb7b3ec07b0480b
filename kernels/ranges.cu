// The range of an array, how often the digits of its numbers occur and how many numbers are in bins, and functions of a
// number by points.
//
//   extrema[0], extrema[1] = the least and the greatest number as `ordered`; extrema[2] = 1 if there is a NaN    (extrema)
//   counts[d] += number of elements whose key has the digit d at `shift` and `prefix` above it                  (digits)
//   counts[b] += number of elements of at least edges[b] and below edges[b + 1], which the last bin includes      (bins)
//   dst = slopes[j] * (x - points[j]) + values[j] for an x of at least points[j] and below points[j + 1]          (curve)
//
// The key of a number is an unsigned integer of the same order. The digits of a key, from the highest on, lead to the
// number of any rank. A block walks over rows along k, the array's fastest axis, GROUPS at a time; a thread counts runs of
// equal digits before it touches the table of its block: increments of one place wait for each other.

struct Extrema {
    const void* source;
    unsigned int* extrema;
    i64 strides[4];  // c, i, j, k
    i64 size[4];
    int swap;  // bytes of the source are in the other order
};

struct Digits {
    const void* source;
    u64* counts;
    i64 strides[4];
    i64 size[4];
    unsigned int prefix;
    int shift;
    int bits;
    int swap;
};

// Even edges, but for their rounding: `scale` bins per unit.
struct Bins {
    const void* source;
    const float* edges;
    u64* counts;
    i64 strides[4];
    i64 size[4];
    double scale;
    int bins;
    int swap;
};

struct Curve {
    const void* source;
    float* dst;
    const double* curve;  // points, values and slopes, `count` each
    i64 src_strides[4];
    i64 dst_strides[4];
    i64 size[4];
    double scale;
    int count;
    int swap;
};

static const int DIGITS = 2048;  // most digits of a pass
static const int BINS = 2048;    // most bins

__device__ __forceinline__ unsigned int ordered(float x) {
    union {
        float value;
        unsigned int bits;
    } number = {x};
    return (number.bits & 0x80000000u) != 0 ? ~number.bits : number.bits | 0x80000000u;
}

// Keys have the bits of the stored number: 32, or 16.
__device__ __forceinline__ unsigned int key_of(float x) { return ordered(x); }
__device__ __forceinline__ unsigned int key_of(half_t x) {
    return (x.bits & 0x8000u) != 0 ? ~x.bits & 0xffffu : x.bits | 0x8000u;
}

template <class S, class A, class Visit> __device__ __forceinline__ void visit_rows(const A& a, Visit visit) {
    const unsigned int size_i = static_cast<unsigned int>(a.size[1]), size_j = static_cast<unsigned int>(a.size[2]);
    const i64 rows = a.size[0] * a.size[1] * a.size[2];
    const int size = static_cast<int>(a.size[3]);
    for (i64 row = static_cast<i64>(blockIdx.x) * GROUPS + threadIdx.y; row < rows;
         row += static_cast<i64>(gridDim.x) * GROUPS) {
        const unsigned int line = static_cast<unsigned int>(row);  // an array has fewer than 2^32 rows
        const unsigned int rest = line / size_j, j = line - rest * size_j;
        const unsigned int c = rest / size_i, i = rest - c * size_i;
        const S* from =
            static_cast<const S*>(a.source) + c * a.strides[0] + i * a.strides[1] + j * a.strides[2];
#pragma unroll 4
        for (int k = threadIdx.x; k < size; k += LANES) visit(load(from + k * a.strides[3], a.swap != 0));
    }
}

template <class S> __device__ __forceinline__ void extrema(const Extrema& a) {
    __shared__ unsigned int of_block[3];
    const int thread = threadIdx.y * LANES + threadIdx.x;
    if (thread < 3) of_block[thread] = thread == 0 ? 0xffffffffu : 0u;
    __syncthreads();
    unsigned int low = 0xffffffffu, high = 0, nan = 0;
    visit_rows<S>(a, [&](S sample) {
        const float x = to_float(sample);
        if (x != x) {
            nan = 1;
            return;
        }
        const unsigned int key = ordered(x);
        low = key < low ? key : low;
        high = key > high ? key : high;
    });
    if (low <= high) {
        atomicMin(&of_block[0], low);
        atomicMax(&of_block[1], high);
    }
    if (nan != 0) of_block[2] = 1;
    __syncthreads();
    if (thread == 0) {
        atomicMin(&a.extrema[0], of_block[0]);
        atomicMax(&a.extrema[1], of_block[1]);
        if (of_block[2] != 0) a.extrema[2] = 1;
    }
}

template <class S> __device__ __forceinline__ void digits(const Digits& a) {
    __shared__ unsigned int table[DIGITS];
    const int thread = threadIdx.y * LANES + threadIdx.x;
    for (int n = thread; n < DIGITS; n += LANES * GROUPS) table[n] = 0;
    __syncthreads();
    const unsigned int mask = (1u << a.bits) - 1;
    const int above = a.shift + a.bits;
    unsigned int last = 0, run = 0;
    visit_rows<S>(a, [&](S sample) {
        const unsigned int key = key_of(sample);
        if (static_cast<u64>(key) >> above != a.prefix) return;
        const unsigned int digit = key >> a.shift & mask;
        if (digit != last) {
            if (run != 0) atomicAdd(&table[last], run);
            last = digit;
            run = 0;
        }
        run++;
    });
    if (run != 0) atomicAdd(&table[last], run);
    __syncthreads();
    for (int n = thread; n < DIGITS; n += LANES * GROUPS) {
        if (table[n] != 0) atomicAdd(&a.counts[n], static_cast<u64>(table[n]));
    }
}

// Last j of 0 ... last with points[j] <= x, or 0.
template <class T>
__device__ __forceinline__ int interval(T x, const T* points, int last, double scale) {
    const double guess = (static_cast<double>(x) - static_cast<double>(points[0])) * scale;
    int j = guess > 0.0 ? (guess >= static_cast<double>(last) ? last : static_cast<int>(guess)) : 0;
    while (j > 0 && x < points[j]) j--;
    while (j < last && x >= points[j + 1]) j++;
    return j;
}

__device__ __forceinline__ void bins(const Bins& a) {
    __shared__ unsigned int table[BINS];
    __shared__ float edges[BINS + 1];
    const int thread = threadIdx.y * LANES + threadIdx.x;
    for (int n = thread; n < a.bins; n += LANES * GROUPS) table[n] = 0;
    for (int n = thread; n <= a.bins; n += LANES * GROUPS) edges[n] = a.edges[n];
    __syncthreads();
    const float low = edges[0], high = edges[a.bins];
    int last = 0;
    unsigned int run = 0;
    visit_rows<float>(a, [&](float x) {
        if (!(x >= low && x <= high)) return;
        const int bin = interval(x, edges, a.bins - 1, a.scale);
        if (bin != last) {
            if (run != 0) atomicAdd(&table[last], run);
            last = bin;
            run = 0;
        }
        run++;
    });
    if (run != 0) atomicAdd(&table[last], run);
    __syncthreads();
    for (int n = thread; n < a.bins; n += LANES * GROUPS) {
        if (table[n] != 0) atomicAdd(&a.counts[n], static_cast<u64>(table[n]));
    }
}

__device__ __forceinline__ void curve(const Curve& a) {
    const double* points = a.curve;
    const double* values = points + a.count;
    const double* slopes = values + a.count;
    const unsigned int size_i = static_cast<unsigned int>(a.size[1]), size_j = static_cast<unsigned int>(a.size[2]);
    const i64 rows = a.size[0] * a.size[1] * a.size[2];
    const int size = static_cast<int>(a.size[3]), last = a.count - 1;
    for (i64 row = static_cast<i64>(blockIdx.x) * GROUPS + threadIdx.y; row < rows;
         row += static_cast<i64>(gridDim.x) * GROUPS) {
        const unsigned int line = static_cast<unsigned int>(row);
        const unsigned int rest = line / size_j, j = line - rest * size_j;
        const unsigned int c = rest / size_i, i = rest - c * size_i;
        const float* from =
            static_cast<const float*>(a.source) + c * a.src_strides[0] + i * a.src_strides[1] + j * a.src_strides[2];
        float* to = a.dst + c * a.dst_strides[0] + i * a.dst_strides[1] + j * a.dst_strides[2];
        for (int k = threadIdx.x; k < size; k += LANES) {
            const double x = static_cast<double>(load(from + k * a.src_strides[3], a.swap != 0));
            double y = values[0];
            if (x >= points[last]) {
                y = values[last];
            } else if (x > points[0]) {
                const int n = interval(x, points, last - 1, a.scale);
                y = slopes[n] * (x - points[n]) + values[n];
            }
            to[k * a.dst_strides[3]] = static_cast<float>(y);
        }
    }
}

#define EXTREMA(S, NAME)                                                                                      \
    extern "C" __global__ void __launch_bounds__(256, 3) extrema_##NAME(const __grid_constant__ Extrema a) { \
        extrema<S>(a);                                                                                        \
    }

EXTREMA(signed char, i1)
EXTREMA(unsigned char, u1)
EXTREMA(short, i2)
EXTREMA(unsigned short, u2)
EXTREMA(int, i4)
EXTREMA(unsigned int, u4)
EXTREMA(i64, i8)
EXTREMA(u64, u8)
EXTREMA(half_t, f2)
EXTREMA(float, f4)
EXTREMA(double, f8)

extern "C" __global__ void __launch_bounds__(256, 3) digits_f2(const __grid_constant__ Digits a) { digits<half_t>(a); }
extern "C" __global__ void __launch_bounds__(256, 3) digits_f4(const __grid_constant__ Digits a) { digits<float>(a); }
extern "C" __global__ void __launch_bounds__(256, 3) bins_f4(const __grid_constant__ Bins a) { bins(a); }
extern "C" __global__ void __launch_bounds__(256, 3) curve_f4(const __grid_constant__ Curve a) { curve(a); }
