// Plain CUDA C++ on the host, for tests: what kernels/*.cu use of the language and the runtime.
//
// Blocks run in parallel on OpenMP threads. The threads of a block run one after the other on fibers of one OpenMP
// thread: a fiber runs thread after thread until one meets a barrier; then it is put aside and a new fiber goes on with
// the next thread. When every thread has met the barrier or ended, the fibers put aside go on. A kernel without barriers
// so needs one fiber per block.
//
// CUDASIM_ORDER=reversed or =scattered has the threads of a block take their turns in another order: a kernel that lacks
// a barrier then reads what was not written yet.
#pragma once
#include <ucontext.h>

#include <cmath>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <numeric>
#include <string>
#include <vector>

#ifdef CUDASIM_LIST
#define __global__ CUDASIM_GLOBAL
#else
#define __global__
#endif
#define __device__
#define __forceinline__ inline
#define __launch_bounds__(...)
#define __grid_constant__
#define __shared__ static thread_local
#define __align__(n) alignas(n)
#define __syncthreads() cudasim::barrier()
#define DYNAMIC_SHARED(T, name) T* name = reinterpret_cast<T*>(cudasim::dynamic_area)

#define HALF_CONVERSIONS
static inline float half_to_float(unsigned short bits) {
    const unsigned int exponent = bits >> 10 & 31, fraction = bits & 1023;
    float value = exponent == 0    ? std::ldexp(static_cast<float>(fraction), -24)
                  : exponent == 31 ? (fraction ? NAN : INFINITY)
                                   : std::ldexp(static_cast<float>(fraction + 1024), static_cast<int>(exponent) - 25);
    return bits & 0x8000 ? -value : value;
}

static inline unsigned short float_to_half(float value) {
    unsigned int bits;
    std::memcpy(&bits, &value, 4);
    const unsigned int sign = bits >> 16 & 0x8000, magnitude = bits & 0x7fffffff;
    if (magnitude > 0x7f800000) return static_cast<unsigned short>(sign | 0x7e00);
    if (magnitude >= 0x47800000) return static_cast<unsigned short>(sign | 0x7c00);
    if (magnitude < 0x38800000)  // below the least normal binary16: a multiple of 2^-24, nearest even
        return static_cast<unsigned short>(sign | static_cast<unsigned int>(std::nearbyint(std::fabs(value) * 16777216.0f)));
    const unsigned int rebased = magnitude - 0x38000000, rest = rebased & 0x1fff;
    unsigned int half = rebased >> 13;
    if (rest > 0x1000 || (rest == 0x1000 && (half & 1))) half++;
    return static_cast<unsigned short>(sign | half);
}

struct dim3 {
    unsigned int x, y, z;
};
static thread_local dim3 threadIdx, blockIdx, blockDim, gridDim;

static inline int __ffs(int x) { return __builtin_ffs(x); }

// Four of the bytes of y and x, chosen by the lowest three bits of each hexadecimal digit.
static inline unsigned int __byte_perm(unsigned int x, unsigned int y, unsigned int digits) {
    const unsigned long long both = static_cast<unsigned long long>(y) << 32 | x;
    unsigned int chosen = 0;
    for (int n = 0; n < 4; n++) chosen |= static_cast<unsigned int>(both >> 8 * (digits >> 4 * n & 7) & 255) << 8 * n;
    return chosen;
}

template <class T> static inline T atomicAdd(T* place, T value) {
    return __atomic_fetch_add(place, value, __ATOMIC_RELAXED);
}
template <class T> static inline T atomicMin(T* place, T value) {
    T held = __atomic_load_n(place, __ATOMIC_RELAXED);
    while (value < held && !__atomic_compare_exchange_n(place, &held, value, true, __ATOMIC_RELAXED, __ATOMIC_RELAXED)) {
    }
    return held;
}
template <class T> static inline T atomicMax(T* place, T value) {
    T held = __atomic_load_n(place, __ATOMIC_RELAXED);
    while (value > held && !__atomic_compare_exchange_n(place, &held, value, true, __ATOMIC_RELAXED, __ATOMIC_RELAXED)) {
    }
    return held;
}

namespace cudasim {

static thread_local unsigned char* dynamic_area = nullptr;

static const std::size_t STACK = 32 << 10;

// Which thread of a block has its turn as the n-th.
struct Order {
    unsigned int step = 1, first = 0;

    static Order of(unsigned int total) {
        const char* name = std::getenv("CUDASIM_ORDER");
        const std::string asked = name ? name : "";
        Order order;
        if (asked == "reversed") {
            order.step = order.first = total - 1;
        } else if (asked == "scattered") {
            order.step = total * 5 / 8 + 1;
            while (std::gcd(order.step, total) != 1) order.step++;
            order.first = total / 3;
        }
        return order;
    }

    unsigned int operator()(unsigned int n, unsigned int total) const {
        return static_cast<unsigned int>((static_cast<unsigned long long>(n) * step + first) % total);
    }
};

// Where a fiber goes on. swapcontext would ask the kernel for the signal mask at every switch.
typedef void* Place[5];

struct Fiber {
    Place place;
    dim3 thread;
    bool waiting = false, begun = false;
    void* stack = std::malloc(STACK);
    ~Fiber() { std::free(stack); }
};

// The threads of one block at a time, on the fibers of one OpenMP thread.
class Block {
  public:
    template <class Body> void run(const Order& order, const Body& body) {
        call_ = [](const void* b) { (*static_cast<const Body*>(b))(); };
        body_ = &body;
        order_ = order;
        next_ = 0;
        total_ = blockDim.x * blockDim.y * blockDim.z;
        std::vector<Fiber*> aside;
        unsigned int used = 0;
        while (next_ < total_) {
            Fiber* fiber = fiber_number(used++);
            start(fiber);
            if (fiber->waiting) aside.push_back(fiber);
        }
        while (!aside.empty()) {
            std::vector<Fiber*> again;
            for (Fiber* fiber : aside) {
                resume(fiber);
                if (fiber->waiting) again.push_back(fiber);
            }
            aside.swap(again);
        }
    }

    __attribute__((noinline)) void wait() {
        Fiber* mine = current_;
        mine->thread = threadIdx;
        mine->waiting = true;
        leave(mine);
        threadIdx = mine->thread;
    }

  private:
    static void main_of_fiber();

    Fiber* fiber_number(unsigned int n) {
        while (fibers_.size() <= n) fibers_.emplace_back(new Fiber);
        return fibers_[n].get();
    }

    void start(Fiber* fiber) {
        if (fiber->begun) return resume(fiber);  // it stands at the end of the last block's work
        fiber->begun = true;
        ucontext_t context;
        getcontext(&context);
        context.uc_stack.ss_sp = fiber->stack;
        context.uc_stack.ss_size = STACK;
        context.uc_link = nullptr;
        makecontext(&context, main_of_fiber, 0);
        enter(fiber, &context);
    }

    void resume(Fiber* fiber) { enter(fiber, nullptr); }

    // To the fiber: to its first line by `context`, or to where it left. Returns when it leaves.
    __attribute__((noinline)) void enter(Fiber* fiber, const ucontext_t* context) {
        current_ = fiber;
        fiber->waiting = false;
        if (__builtin_setjmp(scheduler_) == 0) {
            if (context) setcontext(context);
            go(fiber->place);
        }
    }

    // From the fiber to the scheduler. Returns when the fiber is resumed.
    __attribute__((noinline)) void leave(Fiber* fiber) {
        if (__builtin_setjmp(fiber->place) == 0) go(scheduler_);
    }

    // A function of its own: __builtin_longjmp must not stand beside its setjmp.
    [[noreturn]] __attribute__((noinline)) static void go(Place place) { __builtin_longjmp(place, 1); }

    std::vector<std::unique_ptr<Fiber>> fibers_;
    Place scheduler_;
    Fiber* current_ = nullptr;
    void (*call_)(const void*) = nullptr;
    const void* body_ = nullptr;
    Order order_;
    unsigned int next_ = 0, total_ = 0;
};

static thread_local Block block;

inline void Block::main_of_fiber() {
    Fiber* mine = block.current_;
    for (;;) {  // as often as a block wants this fiber
        while (block.next_ < block.total_) {
            const unsigned int n = block.order_(block.next_++, block.total_);
            threadIdx = {n % blockDim.x, n / blockDim.x % blockDim.y, n / blockDim.x / blockDim.y};
            block.call_(block.body_);
        }
        block.leave(mine);
    }
}

static inline void barrier() { block.wait(); }

// What the stand-in for CuPy hands over.
struct Launch {
    unsigned int grid[3], block[3];
    unsigned long long shared_bytes;
};

template <class P> void launch(void (*kernel)(P), const Launch* how, const void* argument) {
    typedef typename std::remove_const<P>::type Argument;
    const Argument& given = *static_cast<const Argument*>(argument);
    const Order order = Order::of(how->block[0] * how->block[1] * how->block[2]);
    const long long blocks = static_cast<long long>(how->grid[0]) * how->grid[1] * how->grid[2];
#pragma omp parallel if (blocks > 4)
    {
        // on the heap and exactly as long as asked: AddressSanitizer sees a byte too far
        unsigned char* shared = static_cast<unsigned char*>(std::malloc(how->shared_bytes ? how->shared_bytes : 1));
        std::memset(shared, 0xcb, how->shared_bytes);
        dynamic_area = shared;
        gridDim = {how->grid[0], how->grid[1], how->grid[2]};
        blockDim = {how->block[0], how->block[1], how->block[2]};
#pragma omp for schedule(dynamic, 4)
        for (long long n = 0; n < blocks; n++) {
            blockIdx = {static_cast<unsigned int>(n % gridDim.x), static_cast<unsigned int>(n / gridDim.x % gridDim.y),
                        static_cast<unsigned int>(n / gridDim.x / gridDim.y)};
            block.run(order, [&] { kernel(given); });
        }
        std::free(shared);
    }
}

}  // namespace cudasim

#define CUDASIM_EXPORT(name)                                                                   \
    extern "C" void cudasim_launch_##name(const cudasim::Launch* how, const void* argument) { \
        cudasim::launch(&name, how, argument);                                                \
    }
