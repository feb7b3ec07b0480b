// Places of labels, and counts of the stored values under them.
//
//   extents[n]          += voxels, indices; max of indices, and of those counted from the end  (label_extents)
//   values[n][key]      += 1                            for integers of up to 16 bits          (label_values)
//   sums[n][bin]        += voxels, rests, squares of rests in two parts; max of keys           (label_sums)
//   digits[n][which][d] += 1   for keys whose digits before d are prefixes[n][which]           (label_digits)
//
// n + 1 is the number of a label; number 0 is left out. A key is an unsigned integer of the order of the values, of as many
// bits as a narrow integer or of 32; its highest 9 bits are the bin, the others the rest. All sums are of integers: they do
// not depend on the order of the threads. A thread adds up what follows on itself before it touches a table, because
// increments of one place wait for each other.

struct LabelExtents {
    const void* labels;
    const unsigned short* numbers;  // by label
    u64* table;                     // [labels][10]
    i64 labels_strides[3];          // i, j, k
    i64 size[3];
};

struct LabelValues {
    const void* labels;
    const void* values;
    const unsigned short* numbers;
    const unsigned int* prefixes;  // [labels][2], of digits alone
    void* table;
    i64 labels_strides[3];
    i64 values_strides[3];
    i64 size[3];
    int shift;
    int bits;
    int swap;
};

static const int FIELDS = 10;       // of an extent
static const int NEAR = 32;         // labels whose extents a block sums in shared memory
static const int REST_BITS = 23;
static const int BINS = 1 << (32 - REST_BITS);
static const int SUMS = 4;          // per bin
static const int SUM_WIDTH = SUMS * BINS + 2;
static const int SQUARE_BITS = 24;  // of a square's lower part

// What a thread has met of one label in the plane i.
struct PlaceSums {
    unsigned int number, voxels, j_low, j_high, k_low, k_high;
    u64 j_sum, k_sum;

    __device__ __forceinline__ void begin(unsigned int next, unsigned int j, unsigned int k) {
        number = next;
        voxels = 0;
        j_low = j_high = j;
        k_low = k_high = k;
        j_sum = k_sum = 0;
    }

    __device__ __forceinline__ void meet(unsigned int j, unsigned int k) {
        voxels++;
        j_sum += j;
        k_sum += k;
        j_low = j < j_low ? j : j_low;
        j_high = j > j_high ? j : j_high;
        k_high = k;  // k grows
    }
};

__device__ __forceinline__ void add_extent(const LabelExtents& a, u64* near, const PlaceSums& met, unsigned int i) {
    if (met.number == 0) return;
    u64* row = met.number <= NEAR ? near + (met.number - 1) * FIELDS : a.table + (met.number - 1) * FIELDS;
    const u64 n = met.voxels;
    atomicAdd(row, n);
    atomicAdd(row + 1, n * i);
    atomicAdd(row + 2, met.j_sum);
    atomicAdd(row + 3, met.k_sum);
    atomicMax(row + 4, static_cast<u64>(i));
    atomicMax(row + 5, static_cast<u64>(met.j_high));
    atomicMax(row + 6, static_cast<u64>(met.k_high));
    atomicMax(row + 7, static_cast<u64>(a.size[0] - 1 - i));
    atomicMax(row + 8, static_cast<u64>(a.size[1] - 1 - met.j_low));
    atomicMax(row + 9, static_cast<u64>(a.size[2] - 1 - met.k_low));
}

template <class L> __device__ __forceinline__ void label_extents(const LabelExtents& a) {
    __shared__ u64 near[NEAR * FIELDS];
    const int thread = threadIdx.y * LANES + threadIdx.x;
    for (int n = thread; n < NEAR * FIELDS; n += LANES * GROUPS) near[n] = 0;
    __syncthreads();
    const Rows rows(a.size[0], a.size[1]);
    const L* label = static_cast<const L*>(a.labels) + rows.i * a.labels_strides[0] + rows.first * a.labels_strides[1] +
                     threadIdx.x * a.labels_strides[2];
    const i64 down = GROUPS * a.labels_strides[1], next = LANES * a.labels_strides[2];
    const int size = static_cast<int>(a.size[2]);
    PlaceSums met;
    met.begin(0, 0, 0);
#pragma unroll 1
    for (int k = threadIdx.x; k < size; k += LANES) {
        in_flight<unsigned int>(
            rows.count, [&](int n) { return static_cast<unsigned int>(a.numbers[label[n * down]]); },
            [&](int n, unsigned int number) {
                const unsigned int j = rows.first + n * GROUPS;
                if (number != met.number) {
                    add_extent(a, near, met, rows.i);
                    met.begin(number, j, k);
                }
                met.meet(j, k);
            });
        label += next;
    }
    add_extent(a, near, met, rows.i);
    __syncthreads();
    for (int n = thread; n < NEAR * FIELDS; n += LANES * GROUPS) {
        if (near[n] == 0) continue;
        if (n % FIELDS < 4) atomicAdd(a.table + n, near[n]);
        else atomicMax(a.table + n, near[n]);
    }
}

// A labelled value: number 0 if it does not count.
struct Labelled {
    unsigned int number, key;
};

// meet(labelled) for every voxel of the thread's rows. key(value, &key) gives the key, and whether the value counts.
template <class L, class V, class Key, class Meet>
__device__ __forceinline__ void walk_labelled(const LabelValues& a, Key key, Meet meet) {
    const Rows rows(a.size[0], a.size[1]);
    const L* label = static_cast<const L*>(a.labels) + rows.i * a.labels_strides[0] + rows.first * a.labels_strides[1] +
                     threadIdx.x * a.labels_strides[2];
    const V* value = static_cast<const V*>(a.values) + rows.i * a.values_strides[0] + rows.first * a.values_strides[1] +
                     threadIdx.x * a.values_strides[2];
    const i64 label_down = GROUPS * a.labels_strides[1], label_next = LANES * a.labels_strides[2];
    const i64 value_down = GROUPS * a.values_strides[1], value_next = LANES * a.values_strides[2];
    const int size = static_cast<int>(a.size[2]);
#pragma unroll 1
    for (int k = threadIdx.x; k < size; k += LANES) {
        in_flight<Labelled>(
            rows.count,
            [&](int n) {
                Labelled read = {a.numbers[label[n * label_down]], 0};
                if (read.number != 0 && !key(load(value + n * value_down, a.swap != 0), &read.key)) read.number = 0;
                return read;
            },
            [&](int, const Labelled& read) { meet(read); });
        label += label_next;
        value += value_next;
    }
}

// The key of an integer in as many bits as it has.
template <class V> __device__ __forceinline__ unsigned int narrow_key(V value) {
    const bool is_signed = static_cast<V>(-1) < static_cast<V>(0);
    const unsigned int bits = static_cast<typename Bits<sizeof(V)>::type>(value);
    return is_signed ? bits ^ (1u << (8 * sizeof(V) - 1)) : bits;
}

template <class V> struct WideKey {
    __device__ __forceinline__ bool operator()(V value, unsigned int* key) const {
        const bool is_signed = static_cast<V>(-1) < static_cast<V>(0);
        *key = is_signed ? static_cast<unsigned int>(static_cast<int>(value)) ^ 0x80000000u : static_cast<unsigned int>(value);
        return true;
    }
};

// A float that is infinite or NaN has none.
struct FloatKey {
    __device__ __forceinline__ bool operator()(float value, unsigned int* key) const {
        union {
            float value;
            unsigned int bits;
        } number = {value};
        *key = number.bits ^ ((number.bits >> 31) != 0 ? 0xffffffffu : 0x80000000u);
        return (number.bits & 0x7f800000u) != 0x7f800000u;
    }
};
template <> struct WideKey<float> : FloatKey {};
template <> struct WideKey<double> {
    __device__ __forceinline__ bool operator()(double value, unsigned int* key) const {
        return FloatKey()(static_cast<float>(value), key);
    }
};
template <> struct WideKey<half_t> {
    __device__ __forceinline__ bool operator()(half_t value, unsigned int* key) const {
        return FloatKey()(to_float(value), key);
    }
};

// Places of a table that a thread increments.
struct Increments {
    unsigned int* table;
    unsigned int place, run;

    __device__ __forceinline__ void add(unsigned int next) {
        if (next != place) {
            finish();
            place = next;
            run = 0;
        }
        run++;
    }

    __device__ __forceinline__ void finish() {
        if (run != 0) atomicAdd(table + place, run);
    }
};

template <class L, class V> __device__ __forceinline__ void label_values(const LabelValues& a) {
    const int bits = 8 * sizeof(V);
    Increments counts = {static_cast<unsigned int*>(a.table), 0, 0};
    walk_labelled<L, V>(
        a,
        [](V value, unsigned int* key) {
            *key = narrow_key(value);
            return true;
        },
        [&](const Labelled& read) {
            if (read.number != 0) counts.add(((read.number - 1) << bits) + read.key);
        });
    counts.finish();
}

// Sums of the keys of one bin of one label.
struct BinSums {
    unsigned int number, bin, count, high, low;  // the highest key, and the complement of the lowest one
    u64 rests, squares, squares_high;

    __device__ __forceinline__ void begin(unsigned int next, unsigned int next_bin) {
        number = next;
        bin = next_bin;
        count = high = low = 0;
        rests = squares = squares_high = 0;
    }

    __device__ __forceinline__ void meet(unsigned int key) {
        const u64 rest = key & ((1u << REST_BITS) - 1), square = rest * rest;
        count++;
        rests += rest;
        squares += square & ((1u << SQUARE_BITS) - 1);
        squares_high += square >> SQUARE_BITS;
        high = key > high ? key : high;
        low = ~key > low ? ~key : low;
    }

    __device__ __forceinline__ void finish(u64* table) const {
        if (count == 0) return;
        u64* row = table + static_cast<i64>(number - 1) * SUM_WIDTH;
        u64* sums = row + bin * SUMS;
        atomicAdd(sums, static_cast<u64>(count));
        atomicAdd(sums + 1, rests);
        atomicAdd(sums + 2, squares);
        atomicAdd(sums + 3, squares_high);
        atomicMax(row + SUMS * BINS, static_cast<u64>(high));
        atomicMax(row + SUMS * BINS + 1, static_cast<u64>(low));
    }
};

template <class L, class V> __device__ __forceinline__ void label_sums(const LabelValues& a) {
    u64* table = static_cast<u64*>(a.table);
    BinSums met;
    met.begin(0, 0);
    walk_labelled<L, V>(a, WideKey<V>(), [&](const Labelled& read) {
        if (read.number == 0) return;
        const unsigned int bin = read.key >> REST_BITS;
        if (read.number != met.number || bin != met.bin) {
            met.finish(table);
            met.begin(read.number, bin);
        }
        met.meet(read.key);
    });
    met.finish(table);
}

template <class L, class V> __device__ __forceinline__ void label_digits(const LabelValues& a) {
    const unsigned int mask = (1u << a.bits) - 1;
    Increments counts = {static_cast<unsigned int*>(a.table), 0, 0};
    walk_labelled<L, V>(a, WideKey<V>(), [&](const Labelled& read) {
        if (read.number == 0) return;
        const unsigned int* prefix = a.prefixes + 2 * (read.number - 1);
        const unsigned int high = (read.key >> a.shift) >> a.bits;
        if (high != prefix[0] && high != prefix[1]) return;
        const unsigned int which = high == prefix[0] ? 0 : 1;
        counts.add(((2 * (read.number - 1) + which) << a.bits) + ((read.key >> a.shift) & mask));
    });
    counts.finish();
}

#define EXTENTS(L, NAME)                                                                                             \
    extern "C" __global__ void __launch_bounds__(256, 3) label_extents_##NAME(const __grid_constant__ LabelExtents a) { \
        label_extents<L>(a);                                                                                         \
    }
#define VALUES(name, L, V, NAME)                                                                               \
    extern "C" __global__ void __launch_bounds__(256, 3) name##_##NAME(const __grid_constant__ LabelValues a) { \
        name<L, V>(a);                                                                                         \
    }
#define NARROW(V, NAME)                                             \
    VALUES(label_values, unsigned char, V, u1_##NAME)               \
    VALUES(label_values, unsigned short, V, u2_##NAME)              \
    VALUES(label_sums, unsigned short, V, u2_##NAME)                \
    VALUES(label_digits, unsigned short, V, u2_##NAME)
#define WIDE(V, NAME)                                               \
    VALUES(label_sums, unsigned char, V, u1_##NAME)                 \
    VALUES(label_sums, unsigned short, V, u2_##NAME)                \
    VALUES(label_digits, unsigned char, V, u1_##NAME)               \
    VALUES(label_digits, unsigned short, V, u2_##NAME)

EXTENTS(unsigned char, u1)
EXTENTS(unsigned short, u2)
NARROW(signed char, i1)
NARROW(unsigned char, u1)
NARROW(short, i2)
NARROW(unsigned short, u2)
WIDE(int, i4)
WIDE(unsigned int, u4)
WIDE(half_t, f2)
WIDE(float, f4)
WIDE(double, f8)
