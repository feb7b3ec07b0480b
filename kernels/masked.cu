// A function for what is not 0, or for what is inside a mask.
//
//   out[c, i, j, k] = f(source[c, i, j, k])   where source is not 0 (NaN is not), else 0   (masked)
//   out[c, i, j, k] = f(source[c, i, j, k])   where mask[c, i, j, k] is not 0, else 0      (within)
//
// in float32, f as `apply` states. Axes i, j, k are the spatial ones, ordered so that k is the output's fastest. `out`
// may be `source`: a thread reads and writes one place.

struct Masked {
    const void* source;
    void* out;
    i64 source_strides[4];  // c, i, j, k
    i64 out_strides[4];
    i64 size[4];
    Affine function;
};

struct Within {
    const void* source;
    const unsigned char* mask;
    void* out;
    i64 source_strides[4];  // c, i, j, k
    i64 mask_strides[4];
    i64 out_strides[4];
    i64 size[4];
    Affine function;
};

template <class S, class D> __device__ __forceinline__ void masked(const Masked& a) {
    const Rows rows(a.size[1], a.size[2]);
    const Lines<const S> from = {
        static_cast<const S*>(a.source) + rows.rest * a.source_strides[0] + rows.i * a.source_strides[1],
        a.source_strides[2], a.source_strides[3]};
    const Lines<D> to = {static_cast<D*>(a.out) + rows.rest * a.out_strides[0] + rows.i * a.out_strides[1],
                         a.out_strides[2], a.out_strides[3]};
    walk_rows<float>(
        rows, a.size[3], from, to, [&](const S* sample, int, int) { return to_float(*sample); },
        [&](D* out, float x) { store(out, x == 0.0f ? 0.0f : apply(a.function, x)); });
}

template <class S, class D> __device__ __forceinline__ void within(const Within& a) {
    const Rows rows(a.size[1], a.size[2]);
    const Lines<const S> from = {
        static_cast<const S*>(a.source) + rows.rest * a.source_strides[0] + rows.i * a.source_strides[1],
        a.source_strides[2], a.source_strides[3]};
    const Lines<D> to = {static_cast<D*>(a.out) + rows.rest * a.out_strides[0] + rows.i * a.out_strides[1],
                         a.out_strides[2], a.out_strides[3]};
    const unsigned char* mask = a.mask + rows.rest * a.mask_strides[0] + rows.i * a.mask_strides[1] +
                                rows.first * a.mask_strides[2];
    const i64 mask_row = GROUPS * a.mask_strides[2];
    walk_rows<float>(
        rows, a.size[3], from, to,
        [&](const S* sample, int n, int k) {
            return mask[n * mask_row + k * a.mask_strides[3]] != 0 ? apply(a.function, to_float(*sample)) : 0.0f;
        },
        [&](D* out, float x) { store(out, x); });
}

#define MASKED(S, D, NAME)                                                                                 \
    extern "C" __global__ void __launch_bounds__(256, 3) masked_##NAME(const __grid_constant__ Masked a) { \
        masked<S, D>(a);                                                                                   \
    }                                                                                                      \
    extern "C" __global__ void __launch_bounds__(256, 3) within_##NAME(const __grid_constant__ Within a) { \
        within<S, D>(a);                                                                                   \
    }

MASKED(float, float, f4_f4)
MASKED(float, half_t, f4_f2)
MASKED(half_t, float, f2_f4)
MASKED(half_t, half_t, f2_f2)
