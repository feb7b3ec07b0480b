// The range of an array, and how often the digits of its numbers occur.
//
//   extrema[0], extrema[1] = the least and the greatest number as `ordered`; extrema[2] = 1 if there is a NaN    (extrema)
//   counts[d] += number of elements whose key has the digit d at `shift` and `prefix` above it                  (digits)
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

static const int DIGITS = 2048;  // most digits of a pass

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
