// What every kernel file begins with: numbers as stored, strided views, and the two functions of a resampling.
//
// The files are compiled by NVRTC without any include path (the loader puts this text in front of each), and by g++ in
// the tests. They keep to plain CUDA C++: no headers, no warp intrinsics, no per-shape constants. Shapes, strides (in
// elements, signed) and offsets are 64-bit and travel in one struct per kernel, passed by value.
//
// Blocks have 256 threads, LANES x GROUPS where they walk along rows. The three blocks per multiprocessor of every
// __launch_bounds__(256, 3) are the occupancy that these kernels need; left to itself the compiler aims higher and spills
// registers for it.

typedef long long i64;
typedef unsigned long long u64;

static const int LANES = 32;   // voxels of a row that a warp takes at once: blockDim.x
static const int GROUPS = 8;   // rows that a block takes at once: blockDim.y
static const int UNDER_WAY = 4;  // rows of which a thread reads a voxel before it writes the first, see `in_flight`

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

    __device__ __forceinline__ Tile(i64 size, int rows) : Tile(size, rows, blockIdx.x) {}
    __device__ __forceinline__ Tile(i64 size, int rows, unsigned int block) {
        const Split split(block, (size + rows - 1) / rows);
        rest = split.rest;
        begin = static_cast<i64>(split.index) * rows;
        end = least(begin + rows, size);
    }
};

// The rows of a block in a walk along k over [..., i, j, k]: UNDER_WAY * GROUPS rows of j per block, counted fastest, then
// i, then the rest. A thread has `count` of them, GROUPS apart from `first` on.
struct Rows {
    unsigned int rest, i;
    int first, count;

    __device__ __forceinline__ Rows(i64 size_i, i64 size_j) {
        const Split along_j(blockIdx.x, (size_j + UNDER_WAY * GROUPS - 1) / (UNDER_WAY * GROUPS));
        const Split along_i(along_j.rest, size_i);
        i = along_i.index;
        rest = along_i.rest;
        first = along_j.index * (UNDER_WAY * GROUPS) + threadIdx.y;
        count = (static_cast<int>(size_j) - first + GROUPS - 1) / GROUPS;  // more than UNDER_WAY: those
    }
};

// A column of a block in a walk over [c, o, p, q] with a thread per output: LANES outputs along q and UNDER_WAY * GROUPS
// along p per block, counted fastest along q, then p, o, c. A thread has `count` outputs, GROUPS apart from `p` on.
struct Column {
    unsigned int c, o;
    int p, q, count;

    __device__ __forceinline__ explicit Column(const i64 (&size)[4]) {
        const Split along_q(blockIdx.x, (size[3] + LANES - 1) / LANES);
        const Split along_p(along_q.rest, (size[2] + UNDER_WAY * GROUPS - 1) / (UNDER_WAY * GROUPS));
        const Split along_o(along_p.rest, size[1]);
        c = along_o.rest;
        o = along_o.index;
        p = along_p.index * (UNDER_WAY * GROUPS) + threadIdx.y;
        q = along_q.index * LANES + threadIdx.x;
        count = q < size[3] ? (static_cast<int>(size[2]) - p + GROUPS - 1) / GROUPS : 0;
    }
};

// write(n, read(n)) for 0 <= n < count, but no more than UNDER_WAY: all are read before the first is written. The compiler
// cannot know that nothing is read from where something is written; left to it every load would wait for the store before
// it, which waits for its own load, and one load per thread is too few to keep the memory busy.
template <class T, class Read, class Write>
__device__ __forceinline__ void in_flight(int count, Read read, Write write) {
    T held[UNDER_WAY];
#pragma unroll
    for (int n = 0; n < UNDER_WAY; n++) {
        if (n < count) held[n] = read(n);
    }
#pragma unroll
    for (int n = 0; n < UNDER_WAY; n++) {
        if (n < count) write(n, held[n]);
    }
}

// Lines that a walk along k follows: where k is 0 in the block's plane, and the steps along j and k.
template <class T> struct Lines {
    T* at;
    i64 j, k;
};

template <bool WHOLE, class T, class S, class D, class Read, class Write>
__device__ __forceinline__ void walk(
    const Rows& rows, i64 size, const Lines<S>& from, const Lines<D>& to, Read read, Write write) {
    const i64 from_row = GROUPS * from.j, from_next = LANES * from.k;
    const i64 to_row = GROUPS * to.j, to_next = LANES * to.k;
    S* sample = from.at + rows.first * from.j + threadIdx.x * from.k;
    D* place = to.at + rows.first * to.j + threadIdx.x * to.k;
    const int end = static_cast<int>(size);
#pragma unroll 1
    for (int k = threadIdx.x; k < end; k += LANES) {
        // pointers step: a row costs no multiplication
        S* next_sample = sample;
        D* next_place = place;
        in_flight<T>(
            WHOLE ? UNDER_WAY : rows.count,
            [&](int n) {
                S* const here = next_sample;
                next_sample += from_row;
                return read(here, n, k);
            },
            [&](int, T x) {
                write(next_place, x);
                next_place += to_row;
            });
        sample += from_next;
        place += to_next;
    }
}

// write(to, read(from, n, k)) for every k of the thread's rows, of which n is the number: T is what passes between.
template <class T, class S, class D, class Read, class Write>
__device__ __forceinline__ void walk_rows(
    const Rows& rows, i64 size, const Lines<S>& from, const Lines<D>& to, Read read, Write write) {
    if (rows.count >= UNDER_WAY)
        walk<true, T>(rows, size, from, to, read, write);
    else
        walk<false, T>(rows, size, from, to, read, write);
}

// The two greatest of several numbers.
struct Podium {
    float second;

    __device__ __forceinline__ void meet(float best, float other) { add(other > best ? best : other); }

    // A number that is not the best.
    __device__ __forceinline__ void add(float other) { second = other > second ? other : second; }
};

// Adds what the threads of a block have found to `ties`, with one access to it.
__device__ __forceinline__ void tally(u64* ties, unsigned int mine) {
    __shared__ unsigned int found;
    if (threadIdx.x == 0 && threadIdx.y == 0) found = 0;
    __syncthreads();
    if (mine != 0) atomicAdd(&found, mine);
    __syncthreads();
    if (threadIdx.x == 0 && threadIdx.y == 0 && found != 0) atomicAdd(ties, static_cast<u64>(found));
}

// f(x) = min(max((x + lead) * scale + rest, low), high), rounded after each operation; comparisons, so that NaN stays NaN.
struct Affine {
    float lead, scale, rest, low, high;
};

__device__ __forceinline__ float apply(const Affine& f, float x) {
    float y = (x + f.lead) * f.scale + f.rest;
    y = y < f.low ? f.low : y;
    return y > f.high ? f.high : y;
}

// (1 - w) * x + w * y, and x alone where w is 0: a neighbour without weight may be infinite or NaN.
__device__ __forceinline__ float mix(float x, float y, float w) { return w == 0.0f ? x : (1.0f - w) * x + w * y; }

// Whether f is no more than an addition: `rest` is then -0, which changes no number.
__device__ __forceinline__ bool is_sum(const Affine& f) {
    return f.scale == 1.0f && f.rest == 0.0f && f.low == -infinity() && f.high == infinity();
}

// f of a stored number. SUM: f is an addition and bytes are in the native order, which costs a third of the instructions
// and gives the same bits; the addition stays where it is of zero, as it makes 0 of -0.
template <bool SUM, class S> __device__ __forceinline__ float apply(const Affine& f, int swap, const S& sample) {
    return SUM ? to_float(sample) + f.lead : apply(f, to_float(load(&sample, swap != 0)));
}

// Resampling along one axis: out[i] = mix(in[lower[i]], in[upper[i]], weight[i]).
// Outputs come in tiles; tile t reads `count[t]` inputs from `first[t]` on.
struct Axis {
    const int* lower;
    const int* upper;
    const float* weight;
    const float* rest;  // 1 - weight
    const int* first;
    const int* count;
};

// -- sixteen bytes at once ----------------------------------------------------------------------------------------------

// A lane that reads one label at a time moves too few bytes to keep the memory busy, and pays an instruction for each step
// of each label.
static const int PACK = 16;  // bytes

struct __align__(16) Words {
    unsigned int word[PACK / 4];
};

// How a line of `size` numbers is cut: `head` numbers before the first that begins a pack, `packs`, and the rest.
struct Packs {
    int head;
    i64 packs;

    __device__ __forceinline__ Packs(const void* begin, i64 size, int itemsize) {
        const int before = static_cast<int>((PACK - reinterpret_cast<u64>(begin) % PACK) % PACK) / itemsize;
        head = static_cast<int>(least(before, size));
        packs = (size - head) / (PACK / itemsize);
    }
};
