// What every kernel file begins with: numbers as stored, strided views, and the two functions of a resampling.
//
// The files are compiled by NVRTC without any include path (the loader puts this text in front of each), and by g++ in
// the tests. They keep to plain CUDA C++: no headers, no warp intrinsics, no per-shape constants. Shapes, strides (in
// elements, signed) and offsets are 64-bit and travel in one struct per kernel, passed by value.
//
// Blocks have 256 threads. The three blocks per multiprocessor of every __launch_bounds__(256, 3) are the occupancy that
// these kernels need; left to itself the compiler aims higher and spills registers for it.

typedef long long i64;
typedef unsigned long long u64;

#ifndef DYNAMIC_SHARED
#define DYNAMIC_SHARED(T, name)                                 \
    extern __shared__ __align__(16) unsigned char shared_area[]; \
    T* name = reinterpret_cast<T*>(shared_area)
#endif

// -- numbers as stored ----------------------------------------------------------------------------------------------

struct half_t {
    unsigned short bits;  // IEEE 754 binary16
};

#ifndef HALF_CONVERSIONS
#define HALF_CONVERSIONS
__device__ __forceinline__ float half_to_float(unsigned short bits) {
    float value;
    asm("cvt.f32.f16 %0, %1;" : "=f"(value) : "h"(bits));
    return value;
}

// Rounds to nearest even; what binary16 cannot hold becomes infinite, NaN stays NaN.
__device__ __forceinline__ unsigned short float_to_half(float value) {
    unsigned short bits;
    asm("cvt.rn.f16.f32 %0, %1;" : "=h"(bits) : "f"(value));
    return bits;
}
#endif

template <int size> struct Bits;
template <> struct Bits<1> { typedef unsigned char type; };
template <> struct Bits<2> { typedef unsigned short type; };
template <> struct Bits<4> { typedef unsigned int type; };
template <> struct Bits<8> { typedef u64 type; };

__device__ __forceinline__ unsigned char swapped(unsigned char x) { return x; }
__device__ __forceinline__ unsigned short swapped(unsigned short x) {
    return static_cast<unsigned short>((x >> 8) | (x << 8));
}
__device__ __forceinline__ unsigned int swapped(unsigned int x) {
    return (x >> 24) | ((x >> 8) & 0xff00u) | ((x << 8) & 0xff0000u) | (x << 24);
}
__device__ __forceinline__ u64 swapped(u64 x) {
    return (static_cast<u64>(swapped(static_cast<unsigned int>(x))) << 32) | swapped(static_cast<unsigned int>(x >> 32));
}

// The number at `from`, whose bytes are in the other order where `swap` is set.
template <class T> __device__ __forceinline__ T load(const T* from, bool swap) {
    typedef typename Bits<sizeof(T)>::type bits_t;
    union {
        bits_t bits;
        T value;
    } number;
    number.bits = *reinterpret_cast<const bits_t*>(from);
    if (swap) number.bits = swapped(number.bits);
    return number.value;
}

template <class T> __device__ __forceinline__ float to_float(T x) { return static_cast<float>(x); }
template <> __device__ __forceinline__ float to_float<half_t>(half_t x) { return half_to_float(x.bits); }

__device__ __forceinline__ void store(float* to, float x) { *to = x; }
__device__ __forceinline__ void store(half_t* to, float x) { to->bits = float_to_half(x); }

__device__ __forceinline__ float infinity() {
    union {
        unsigned int bits;
        float value;
    } number = {0x7f800000u};
    return number.value;
}

// -- small arithmetic -------------------------------------------------------------------------------------------------

__device__ __forceinline__ i64 least(i64 a, i64 b) { return a < b ? a : b; }

// index mod height for 0 <= index < 2 * height: a window is never longer than the ring that it enters.
__device__ __forceinline__ i64 wrapped(i64 index, i64 height) { return index >= height ? index - height : index; }

// `block` as (rest, index) with 0 <= index < n. A launch has fewer than 2^31 blocks, and so has every factor of their
// number: the division is one of 32 bits.
struct Split {
    unsigned int index, rest;

    __device__ __forceinline__ Split(unsigned int block, i64 n) {
        rest = block / static_cast<unsigned int>(n);
        index = block - rest * static_cast<unsigned int>(n);
    }
};

// The tile of `rows` out of `size` that a block has, counted fastest, and the rest of its number.
struct Tile {
    unsigned int rest;
    i64 begin, end;

    __device__ __forceinline__ Tile(i64 size, int rows) {
        const Split split(blockIdx.x, (size + rows - 1) / rows);
        rest = split.rest;
        begin = static_cast<i64>(split.index) * rows;
        end = least(begin + rows, size);
    }
};

// f(x) = min(max(scale * x + shift, low), high), rounded after each operation; comparisons, so that NaN stays NaN.
struct Affine {
    float scale, shift, low, high;
};

__device__ __forceinline__ float apply(const Affine& f, float x) {
    float y = x * f.scale + f.shift;
    y = y < f.low ? f.low : y;
    return y > f.high ? f.high : y;
}

// (1 - w) * x + w * y, and x alone where w is 0: a neighbour without weight may be infinite or NaN.
__device__ __forceinline__ float mix(float x, float y, float w) { return w == 0.0f ? x : (1.0f - w) * x + w * y; }

// Resampling along one axis: out[i] = mix(in[lower[i]], in[upper[i]], weight[i]).
// Outputs come in tiles; tile t reads `count[t]` inputs from `first[t]` on.
struct Axis {
    const int* lower;
    const int* upper;
    const float* weight;
    const int* first;
    const int* count;
};
