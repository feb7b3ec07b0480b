// Copies of integers through index tables: label maps back to the file's grid, axis order and direction; crops and
// strided views into compact memory.
//
//   out[c, o, p, q] = src[c, index_o[o], index_p[p], index_q[q]]      (an index table that is null: the index itself)
//
// Axes as in prepare.cu. No arithmetic: values are copied, at most into a wider integer.
//   pick_tile    through shared memory, for a source whose fastest axis is p: read along p, written along q
//   pick_direct  a thread per column of outputs, for a source whose fastest axis is q as well
//
// Elements of one and two bytes are staged as the words of memory that hold them, and written as words where the output's
// rows begin at one: a word costs no more instructions than a byte.

struct Pick {
    const void* src;
    void* dst;
    Axis o, p, q;  // `lower` is the index; `upper` and `weight` are not used
    i64 src_strides[4];
    i64 dst_strides[4];
    i64 size[4];
    int tile;   // outputs per tile along p and q
    int pitch;  // words per staged row of q, odd
    int swap;
    const unsigned char* low;  // of the source: whole words are read from `low` on and before `high`
    const unsigned char* high;
};

static const int THREADS = LANES * 4;  // of a block of pick_tile: few, so that a thread prepares for many outputs
static const int SLICES = 4;           // outputs along o of a block of pick_tile, one plane after the other
static const int COLUMNS = 256;        // outputs along q of a block of pick_direct
static const int WORD = 4;             // bytes

__device__ __forceinline__ int picked(const int* index, int n) { return index == nullptr ? n : index[n]; }

__device__ __forceinline__ unsigned int behind_word(const unsigned char* at) {
    return static_cast<unsigned int>(reinterpret_cast<u64>(at)) % WORD;
}

// The outputs of a block, and the source that they read.
struct Block {
    unsigned int c;
    int begin_o, end_o, begin_p, begin_q, outputs_p, outputs_q, first_p, count_p, first_q, count_q, shift;

    __device__ __forceinline__ explicit Block(const Pick& a) {
        shift = 4 + (a.tile >= 32) + (a.tile >= 64);  // tiles of 16, 32, 64
        const Split along_q(blockIdx.x, (a.size[3] + a.tile - 1) >> shift);
        const Split along_p(along_q.rest, (a.size[2] + a.tile - 1) >> shift);
        const Split along_o(along_p.rest, (a.size[1] + SLICES - 1) / SLICES);
        c = along_o.rest;
        begin_o = along_o.index * SLICES;
        end_o = static_cast<int>(least(begin_o + SLICES, a.size[1]));
        begin_p = along_p.index << shift;
        begin_q = along_q.index << shift;
        outputs_p = static_cast<int>(least(a.tile, a.size[2] - begin_p));
        outputs_q = static_cast<int>(least(a.tile, a.size[3] - begin_q));
        first_p = a.p.first[along_p.index];
        count_p = a.p.count[along_p.index];
        first_q = a.q.first[along_q.index];
        count_q = a.q.count[along_q.index];
    }
};

// `count` rows in memory, `down` bytes apart, that the threads of a block copy to shared memory: a thread has one place of
// some rows, and several places of rows longer than the block has threads. The caller sees to it that 31 bits hold the
// distances in a tile.
struct Share {
    unsigned int from, step;  // bytes: of the thread's first row from the block's, and from row to row; modulo 2^32
    int to, to_step, rows, place, places;

    __device__ __forceinline__ Share(int places, int count, int down, int pitch) : places(places) {
        const Split mine(threadIdx.y * LANES + threadIdx.x, places);
        const int at_once = places < THREADS ? THREADS / static_cast<unsigned int>(places) : 1;
        const int row = mine.rest;
        place = mine.index;
        rows = row < at_once && row < count ? static_cast<unsigned int>(count - row - 1) / at_once + 1 : 0;
        from = static_cast<unsigned int>(row) * down;
        step = static_cast<unsigned int>(at_once) * down;
        to = row * pitch;
        to_step = at_once * pitch;
    }
};

// Copies rows to `plane`; the places of a row are `next` bytes apart, and read(bytes from the first) gives what is there.
template <class T, class Read>
__device__ __forceinline__ void stage(const Share& share, int next, unsigned char* plane, Read read) {
#pragma unroll 1
    for (int place = share.place; place < share.places; place += THREADS) {
        unsigned int from = share.from + place * next;
        unsigned char* to = plane + share.to + place * static_cast<int>(sizeof(T));
#pragma unroll 1
        for (int rows = share.rows; rows > 0; rows -= UNDER_WAY) {
            in_flight<T>(
                rows,
                [&](int n) { return read(static_cast<int>(from + n * share.step)); },
                [&](int n, T x) { *reinterpret_cast<T*>(to + n * share.to_step) = x; });
            from += UNDER_WAY * share.step;
            to += UNDER_WAY * share.to_step;
        }
    }
}

// OUT outputs along q are written as a word; 1: each by itself.
template <class S, class D, int OUT>
__device__ __forceinline__ void pick_slices(const Pick& a, const Block& b, D* first_out, unsigned char* plane) {
    static const int SIZE = sizeof(S);
    static const int PER_WORD = SIZE < WORD ? WORD / SIZE : 1;
    typedef typename Bits<(SIZE < WORD ? WORD : SIZE)>::type word_t;
    const int pitch = a.pitch * static_cast<int>(sizeof(word_t));
    const i64 s_p = a.src_strides[2] * SIZE, s_q = a.src_strides[3] * SIZE;
    const bool in_words = PER_WORD > 1 && (s_p == SIZE || s_p == -SIZE);
    const bool back = in_words && s_p < 0;  // rows are staged upwards in memory
    const unsigned char* base = static_cast<const unsigned char*>(a.src) + SIZE * (b.c * a.src_strides[0]) +
                                b.first_p * s_p + b.first_q * s_q + (back ? (b.count_p - 1) * s_p : 0);
    const int places = in_words ? (b.count_p + 2 * PER_WORD - 2) / PER_WORD : b.count_p;
    const Share share(places, b.count_q, static_cast<int>(s_q), pitch);
    // where a slice may begin so that all of its words are inside the array
    const i64 last = (b.count_q - 1) * s_q;
    const unsigned char* const from_low = a.low + (WORD - 1) - (last < 0 ? last : 0);
    const unsigned char* const from_high = a.high - places * WORD - (last > 0 ? last : 0);

    // the thread's outputs: `OUT` along q, of up to MOST rows along p; places of more rows than 8 do not fit the registers
    static const int MOST = OUT > 1 ? 64 * 64 / THREADS / OUT : 1;
    static const bool HELD = OUT > 1 && MOST <= 8;
    const int thread = threadIdx.y * LANES + threadIdx.x;
    const int across = OUT > 1 ? b.shift - (OUT == 4 ? 2 : 1) : 5;  // threads along q, as a power of two
    const int group = thread & ((1 << across) - 1), row = thread >> across, apart = THREADS >> across;
    const int* index_p = a.p.lower + b.begin_p;
    const int* index_q = a.q.lower + b.begin_q;
    const auto along_p = [&](int p) {
        return SIZE * (back ? b.first_p + b.count_p - 1 - index_p[p] : index_p[p] - b.first_p);
    };
    const i64 d_p = a.dst_strides[2], d_q = a.dst_strides[3];
    const i64 out_step = apart * d_p;
    const int rows = row < b.outputs_p ? (b.outputs_p - row - 1) / static_cast<unsigned int>(apart) + 1 : 0;
    int source_p[HELD ? MOST : UNDER_WAY], source_q[OUT];
    if (OUT > 1) {
#pragma unroll
        for (int n = 0; HELD && n < MOST; n++) source_p[n] = row + n * apart < b.outputs_p ? along_p(row + n * apart) : 0;
#pragma unroll
        for (int n = 0; n < OUT; n++) {
            const int q = group * OUT + n;
            source_q[n] = q < b.outputs_q ? index_q[d_q < 0 ? b.outputs_q - 1 - q : q] - b.first_q : 0;
        }
    }

#pragma unroll 1
    for (int o = b.begin_o; o < b.end_o; o++) {
        const unsigned char* from = base + SIZE * (picked(a.o.lower, o) * a.src_strides[1]);
        if (o != b.begin_o) __syncthreads();  // the plane before was read to its end
        if (!in_words) {
            stage<S>(share, static_cast<int>(s_p), plane, [&](int at) { return *reinterpret_cast<const S*>(from + at); });
        } else {
            const int lead = behind_word(from);
            const unsigned char* const first = from - lead;
            const auto word = [&](int at) {
                return *reinterpret_cast<const word_t*>(first + ((lead + at) & -WORD));
            };
            if (from >= from_low && from < from_high)
                stage<word_t>(share, WORD, plane, word);
            else
                stage<word_t>(share, WORD, plane, [&](int at) {
                    const unsigned char* const here = first + ((lead + at) & -WORD);
                    if (here >= a.low && here + WORD <= a.high) return word(at);
                    word_t some = 0;  // of which a part is beyond the array
#pragma unroll 1
                    for (int n = 0; n < WORD; n++) {
                        if (here + n >= a.low && here + n < a.high) some |= static_cast<word_t>(here[n]) << 8 * n;
                    }
                    return some;
                });
        }
        __syncthreads();

        const auto staged = [&](int q) {
            const unsigned int lead = behind_word(from) + q * static_cast<unsigned int>(s_q);
            return plane + q * pitch + (in_words ? lead % WORD : 0);
        };
        const auto sample = [&](const unsigned char* at) {
            return static_cast<D>(load(reinterpret_cast<const S*>(at), a.swap != 0));
        };
        D* out = first_out + o * a.dst_strides[1] + row * d_p;
        if constexpr (OUT == 1) {
            for (int q = group; q < b.outputs_q; q += LANES) {
                const unsigned char* column = staged(index_q[q] - b.first_q);
                for (int p = row; p < b.outputs_p; p += UNDER_WAY * apart) {
                    D* place = out + (p - row) * d_p + q * d_q;
                    in_flight<D>(
                        (b.outputs_p - p + apart - 1) / apart,
                        [&](int n) { return sample(column + along_p(p + n * apart)); },
                        [&](int, D x) {
                            *place = x;
                            place += out_step;
                        });
                }
            }
        } else {
            const unsigned char* column[OUT];
#pragma unroll
            for (int n = 0; n < OUT; n++) column[n] = staged(source_q[n]);
            out += group * OUT;
            const int within = b.outputs_q - group * OUT;
            if (within >= OUT) {
#pragma unroll(HELD ? 2 : 1)
                for (int first = 0; first < MOST; first += UNDER_WAY) {
                    if (!HELD) {
#pragma unroll
                        for (int n = 0; n < UNDER_WAY; n++)
                            source_p[n] = first + n < rows ? along_p(row + (first + n) * apart) : 0;
                    }
                    unsigned int words[UNDER_WAY];  // of rows beyond the last, anything: shared memory is read at once
#pragma unroll
                    for (int n = 0; n < UNDER_WAY; n++) {
                        words[n] = 0;
#pragma unroll
                        for (int m = OUT - 1; m >= 0; m--)
                            words[n] = (words[n] << 8 * static_cast<int>(sizeof(D)) % 32) +
                                       static_cast<typename Bits<sizeof(D)>::type>(sample(column[m] + source_p[(HELD ? first : 0) + n]));
                    }
#pragma unroll
                    for (int n = 0; n < UNDER_WAY; n++) {
                        if (first + n < rows) *reinterpret_cast<unsigned int*>(out) = words[n];
                        out += out_step;
                    }
                }
            } else {
#pragma unroll 1
                for (int n = 0; n < rows; n++) {
                    const int at = along_p(row + n * apart);
#pragma unroll
                    for (int m = 0; m < OUT; m++) {
                        if (m < within) out[m] = sample(column[m] + at);
                    }
                    out += out_step;
                }
            }
        }
    }
}

template <class S, class D> __device__ __forceinline__ void pick_tile(const Pick& a) {
    static const int OUT = sizeof(D) < WORD ? WORD / static_cast<int>(sizeof(D)) : 1;
    DYNAMIC_SHARED(typename Bits<(sizeof(S) < WORD ? WORD : sizeof(S))>::type, plane);
    const Block b(a);
    D* const out = static_cast<D*>(a.dst) + b.c * a.dst_strides[0] + b.begin_p * a.dst_strides[2] +
                   b.begin_q * a.dst_strides[3];
    D* const lowest = out + (a.dst_strides[3] < 0 ? 1 - b.outputs_q : 0);  // of a row without gaps
    if (OUT > 1 && (a.dst_strides[3] == 1 || a.dst_strides[3] == -1) &&
        (a.dst_strides[1] | a.dst_strides[2]) % OUT == 0 && reinterpret_cast<u64>(lowest) % WORD == 0)
        pick_slices<S, D, OUT>(a, b, lowest, reinterpret_cast<unsigned char*>(plane));
    else
        pick_slices<S, D, 1>(a, b, out, reinterpret_cast<unsigned char*>(plane));
}

template <class S, class D> __device__ __forceinline__ void pick_direct(const Pick& a) {
    const Split along_q(blockIdx.x, (a.size[3] + COLUMNS - 1) / COLUMNS);
    const Split along_p(along_q.rest, (a.size[2] + UNDER_WAY * GROUPS - 1) / (UNDER_WAY * GROUPS));
    const Split along_o(along_p.rest, a.size[1]);
    const unsigned int o = along_o.index, c = along_o.rest;
    const int p = along_p.index * (UNDER_WAY * GROUPS) + threadIdx.y;
    const int count = (static_cast<int>(a.size[2]) - p + GROUPS - 1) / GROUPS;
    const S* base = static_cast<const S*>(a.src) + c * a.src_strides[0] + picked(a.o.lower, o) * a.src_strides[1];
    const S* rows[UNDER_WAY];
#pragma unroll
    for (int n = 0; n < UNDER_WAY; n++)
        rows[n] = base + (n < count ? picked(a.p.lower, p + n * GROUPS) * a.src_strides[2] : 0);
    const i64 s_q = a.src_strides[3], down = GROUPS * a.dst_strides[2], next = LANES * a.dst_strides[3];
    int q = along_q.index * COLUMNS + threadIdx.x;
    const int end = static_cast<int>(least(along_q.index * COLUMNS + COLUMNS, a.size[3]));
    D* out = static_cast<D*>(a.dst) + c * a.dst_strides[0] + o * a.dst_strides[1] + p * a.dst_strides[2] +
             q * a.dst_strides[3];
#pragma unroll 1
    for (; q < end; q += LANES, out += next) {
        const i64 at = picked(a.q.lower, q) * s_q;
        D* place = out;
        in_flight<S>(
            count, [&](int n) { return load(rows[n] + at, a.swap != 0); },
            [&](int, S x) {
                *place = static_cast<D>(x);
                place += down;
            });
    }
}

#define PICK(S, D, NAME)                                                                               \
    extern "C" __global__ void __launch_bounds__(128, 6) pick_tile_##NAME(const __grid_constant__ Pick a) { \
        pick_tile<S, D>(a);                                                                            \
    }                                                                                                  \
    extern "C" __global__ void __launch_bounds__(256, 3) pick_direct_##NAME(const __grid_constant__ Pick a) { \
        pick_direct<S, D>(a);                                                                          \
    }

// The same width: bits are copied, whatever they mean.
PICK(unsigned char, unsigned char, u1_1)
PICK(unsigned short, unsigned short, u2_2)
PICK(unsigned int, unsigned int, u4_4)
PICK(u64, u64, u8_8)
// Into a wider integer: zeros or the sign are put in front.
PICK(unsigned char, unsigned short, u1_2)
PICK(unsigned char, unsigned int, u1_4)
PICK(unsigned char, u64, u1_8)
PICK(unsigned short, unsigned int, u2_4)
PICK(unsigned short, u64, u2_8)
PICK(unsigned int, u64, u4_8)
PICK(signed char, short, i1_2)
PICK(signed char, int, i1_4)
PICK(signed char, i64, i1_8)
PICK(short, int, i2_4)
PICK(short, i64, i2_8)
PICK(int, i64, i4_8)
