// A vector of channels, and how tiles of streams and rows of parameters are turned into vectors and back.
//
// Every source is compiled once for each level (`build.py`), with LEVEL as the ending of the names that it exports.
// All else has internal linkage, so that no code of one level is taken for that of another.
#pragma once

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#ifdef _OPENMP
#include <omp.h>
#endif

#define JOINED(name, level) name##_##level
#define NAMED(name, level) JOINED(name, level)
#define KERNEL(name) extern "C" __attribute__((visibility("default"))) int NAMED(name, LEVEL)

#if defined(__clang__)
#define UNROLLED _Pragma("clang loop unroll(full)")
#else
#define UNROLLED _Pragma("GCC unroll 16")
#endif

// For work that is better compiled by itself: in the middle of other loops, its registers would be taken.
#define APART __attribute__((noinline))

#if defined(__AVX512F__)
#define REGISTERS 32
enum { LANES = 16 };
#elif defined(__AVX2__)
#define REGISTERS 16
enum { LANES = 8 };
#elif defined(__aarch64__)
#define REGISTERS 32
enum { LANES = 4 };
#else
#define REGISTERS 16
enum { LANES = 4 };
#endif

#if defined(__x86_64__)
#include <xmmintrin.h>
#endif

#ifdef _OPENMP
#define FOR_THREADS(threads) _Pragma("omp parallel for schedule(static) num_threads(threads) if (threads > 1)")
#else
#define FOR_THREADS(threads)
#endif

namespace {

typedef int64_t size;
typedef float lanes __attribute__((vector_size(4 * LANES)));

inline lanes load(const float* from) {
    lanes v;
    memcpy(&v, from, sizeof v);
    return v;
}

inline void store(float* to, lanes v) { memcpy(to, &v, sizeof v); }

// The first `count` channels; the others are 0.
inline lanes load_some(const float* from, size count) {
    if (count == LANES) return load(from);
    lanes v = {};
    memcpy(&v, from, sizeof(float) * count);
    return v;
}

inline void store_some(float* to, lanes v, size count) {
    if (count == LANES) return store(to, v);
    memcpy(to, &v, sizeof(float) * count);
}

inline size least(size a, size b) { return a < b ? a : b; }

inline size blocks_of(size channels) { return (channels + LANES - 1) / LANES; }

// Vectors for one thread to work in; `at` is null where memory has run out.
struct Scratch {
    lanes* at;
    explicit Scratch(size count) : at((lanes*)aligned_alloc(64, (sizeof(lanes) * (count + 1) + 63) / 64 * 64)) {}
    ~Scratch() { free(at); }
    Scratch(const Scratch&) = delete;
    Scratch& operator=(const Scratch&) = delete;
};

// While it lives, numbers below 1e-38 are 0 on this thread: states fade, and with denormal numbers a CPU is slow.
#if defined(__x86_64__)
struct Flushing {
    unsigned before = _mm_getcsr();
    Flushing() { _mm_setcsr(before | 0x8040); }
    ~Flushing() { _mm_setcsr(before); }
};
#else
struct Flushing {
    Flushing() {}
};
#endif

}  // namespace
