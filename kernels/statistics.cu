// Counts and moments of a dense array.
//
//   counts[v]   = number of elements equal to v                                     (histogram)
//   partials[b] = (n, mean, sum (x - mean)^2) over the elements of block b, float64  (moments; `nonzero`: elements != 0)
//
// A thread counts runs of equal labels before it touches a table: neighbours mostly share a label, and increments of
// one place wait for each other. It reads 16 bytes of labels at once; the ends of runs in a word are found together. Moments take one pass: a thread sums distances from the first number it meets, so that
// a great mean does not cancel a small deviation, and sets are merged pairwise (Chan, Golub and LeVeque, 1979) in a fixed
// order, in the block and then by the host: the same array gives the same bits.

struct Histogram {
    const void* labels;
    u64* counts;
    i64 size;
};

struct Moments {
    const void* values;
    double* partials;  // [blocks][3]
    i64 size;
    int nonzero;
    int swap;
};

static const int THREADS = 256;
static const int PACKS = 8;  // that one thread of a histogram reads

// The runs of equal labels that a thread meets.
template <class L> struct Runs {
    static const int BITS = 8 * sizeof(L);
    static const unsigned int LABEL = (1u << BITS) - 1;
    static const unsigned int TOPS = sizeof(L) == 1 ? 0x80808080u : 0x80008000u;  // the highest bit of each label

    unsigned int last;   // label
    unsigned int place;  // labels met
    unsigned int start;  // the place where the present run began

    template <class Add> __device__ __forceinline__ void meet(const Words& labels, Add add) {
        const unsigned int same = last * (sizeof(L) == 1 ? 0x01010101u : 0x00010001u);
        if (((labels.word[0] ^ same) | (labels.word[1] ^ same) | (labels.word[2] ^ same) | (labels.word[3] ^ same)) == 0) {
            place += 8 * PACK / BITS;
            return;
        }
#pragma unroll
        for (int w = 0; w < PACK / 4; w++) meet(labels.word[w], add);
    }

    // add(label, run) for every run that ends in `labels`, the first of which is in the lowest bits.
    template <class Add> __device__ __forceinline__ void meet(unsigned int labels, Add add) {
        const unsigned int before = labels << BITS | last;
        const unsigned int apart = labels ^ before;
        unsigned int ends = (((apart & ~TOPS) + ~TOPS) | apart) & TOPS;  // the top bit of labels unlike the one before
        while (ends != 0) {
            const unsigned int shift = __ffs(static_cast<int>(ends)) - BITS;
            const unsigned int end = place + shift / BITS;
            if (end != start) add(before >> shift & LABEL, end - start);
            start = end;
            ends &= ends - 1;
        }
        last = labels >> (32 - BITS);
        place += 32 / BITS;
    }
};

template <class L, bool in_shared> __device__ __forceinline__ void histogram(const Histogram& a) {
    __shared__ unsigned int table[256];
    if (in_shared) {
        table[threadIdx.x] = 0;
        __syncthreads();
    }
    const auto add = [&](unsigned int label, unsigned int run) {
        if (in_shared) atomicAdd(&table[label], run);
        else atomicAdd(&a.counts[label], static_cast<u64>(run));
    };
    const L* labels = static_cast<const L*>(a.labels);
    const Packs line(labels, a.size, sizeof(L));
    const Words* packs = reinterpret_cast<const Words*>(labels + line.head);
    Runs<L> runs = {0, 0, 0};
    i64 n = static_cast<i64>(blockIdx.x) * THREADS * PACKS + threadIdx.x;
    const i64 end = least(n - threadIdx.x + THREADS * PACKS, line.packs);
#pragma unroll 1
    for (; n < end; n += UNDER_WAY * THREADS) {
        in_flight<Words>(
            static_cast<int>(end - n + THREADS - 1) / THREADS, [&](int m) { return packs[n + m * THREADS]; },
            [&](int, const Words& read) { runs.meet(read, add); });
    }
    if (runs.place != runs.start) add(runs.last, runs.place - runs.start);
    const i64 whole = line.packs * (PACK / static_cast<int>(sizeof(L)));
    if (blockIdx.x == 0 && threadIdx.x < a.size - whole)  // before the first pack and after the last
        add(labels[threadIdx.x < line.head ? threadIdx.x : threadIdx.x + whole], 1);
    if (in_shared) {
        __syncthreads();
        if (table[threadIdx.x] != 0) atomicAdd(&a.counts[threadIdx.x], static_cast<u64>(table[threadIdx.x]));
    }
}

extern "C" __global__ void __launch_bounds__(256, 3) histogram_u1(const __grid_constant__ Histogram a) {
    histogram<unsigned char, true>(a);
}
extern "C" __global__ void __launch_bounds__(256, 3) histogram_u2(const __grid_constant__ Histogram a) {
    histogram<unsigned short, false>(a);
}

template <class T> __device__ __forceinline__ double wide(T x) { return static_cast<double>(x); }
template <> __device__ __forceinline__ double wide<half_t>(half_t x) { return to_float(x); }

// A set of numbers: how many, their mean, the sum of their squared distances from it.
struct Part {
    double count, mean, squares;
};

__device__ __forceinline__ Part merged(Part a, Part b) {
    if (b.count == 0.0) return a;
    if (a.count == 0.0) return b;
    const double count = a.count + b.count, apart = b.mean - a.mean;
    Part both = {count, a.mean + apart * (b.count / count),
                 a.squares + b.squares + apart * apart * (a.count * b.count / count)};
    return both;
}

template <class T> __device__ __forceinline__ void moments(const Moments& a) {
    __shared__ Part parts[THREADS];
    const T* values = static_cast<const T*>(a.values);
    double count = 0.0, pivot = 0.0, sum = 0.0, squares = 0.0;
    const i64 step = static_cast<i64>(gridDim.x) * THREADS;
    for (i64 n = static_cast<i64>(blockIdx.x) * THREADS + threadIdx.x; n < a.size; n += step) {
        const double x = wide(load(values + n, a.swap != 0));
        if (a.nonzero == 0 || x != 0.0) {
            pivot = count == 0.0 ? x : pivot;
            count += 1.0;
            sum += x - pivot;
            squares += (x - pivot) * (x - pivot);
        }
    }
    Part mine = {count, 0.0, 0.0};
    if (count != 0.0) {
        mine.mean = pivot + sum / count;
        mine.squares = squares - sum * (sum / count);
    }
    parts[threadIdx.x] = mine;
    __syncthreads();
    for (int half = THREADS / 2; half > 0; half /= 2) {
        if (threadIdx.x < half) parts[threadIdx.x] = merged(parts[threadIdx.x], parts[threadIdx.x + half]);
        __syncthreads();
    }
    if (threadIdx.x == 0) {
        a.partials[blockIdx.x * 3 + 0] = parts[0].count;
        a.partials[blockIdx.x * 3 + 1] = parts[0].mean;
        a.partials[blockIdx.x * 3 + 2] = parts[0].squares;
    }
}

#define MOMENTS(T, NAME)                                                                                 \
    extern "C" __global__ void __launch_bounds__(256, 3) moments_##NAME(const __grid_constant__ Moments a) { \
        moments<T>(a);                                                                                   \
    }

MOMENTS(signed char, i1)
MOMENTS(unsigned char, u1)
MOMENTS(short, i2)
MOMENTS(unsigned short, u2)
MOMENTS(int, i4)
MOMENTS(unsigned int, u4)
MOMENTS(i64, i8)
MOMENTS(u64, u8)
MOMENTS(half_t, f2)
MOMENTS(float, f4)
MOMENTS(double, f8)
