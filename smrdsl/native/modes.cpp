// A bank of P complex recurrences, x_t = a_t x_{t-1} + v_t, whose states are all wanted: forward and backward.
//
// v and x are (batch, length, 2 P), the real parts before the imaginary ones; the state before them, `start`, is
// (batch, 2 P), or null for zeros. Where a varies, its parts are (batch, length, P) each, with `pitch` numbers from time
// to time; else (P). Vectors lie across the modes; a few run at once, since each waits for its own last state.
#include "lanes.h"

namespace {

enum { FORWARD = REGISTERS == 32 ? 4 : 2, BACKWARD = FORWARD / 2, SPAN = 64, AHEAD = 16 };

struct Modes {
    size batch, length, modes, pitch;
    const float *re, *im;
    size first;  // of the modes that are worked on

    // How many modes there are in vector k.
    size count(int k) const { return least(LANES, modes - first - k * LANES); }
};

struct Pair {
    lanes re, im;
};

// The numbers of G vectors of modes; `im` are their imaginary parts.
template <int G>
inline void load_pairs(const Modes& m, const float* re, const float* im, Pair* to) {
    UNROLLED for (int k = 0; k < G; k++) {
        to[k].re = load_some(re + m.first + k * LANES, m.count(k));
        to[k].im = load_some(im + m.first + k * LANES, m.count(k));
    }
}

template <int G>
inline void store_pairs(const Modes& m, float* re, float* im, const Pair* from) {
    UNROLLED for (int k = 0; k < G; k++) {
        store_some(re + m.first + k * LANES, from[k].re, m.count(k));
        store_some(im + m.first + k * LANES, from[k].im, m.count(k));
    }
}

template <bool VARYING, int G>
void forward(const Modes& m, size b, const float* v, const float* start, float* x) {
    Flushing flushing;
    size half = m.modes, row = 2 * half;
    Pair a[G], state[G] = {}, in[G];
    if (!VARYING) load_pairs<G>(m, m.re, m.im, a);
    if (start) load_pairs<G>(m, start + b * row, start + b * row + half, state);
    v += b * m.length * row;
    x += b * m.length * row;
    for (size t = 0; t < m.length; t++, v += row, x += row) {
        __builtin_prefetch(v + m.first + AHEAD * row);
        size at = (b * m.length + t) * m.pitch;
        if (VARYING) load_pairs<G>(m, m.re + at, m.im + at, a);
        load_pairs<G>(m, v, v + half, in);
        UNROLLED for (int k = 0; k < G; k++) {
            lanes re = a[k].re * state[k].re + (in[k].re - a[k].im * state[k].im);
            state[k].im = a[k].re * state[k].im + (in[k].im + a[k].im * state[k].re);
            state[k].re = re;
        }
        store_pairs<G>(m, x, x + half, state);
    }
}

struct Gradients {
    const float *x, *start, *dx;
    float *dv, *dstart, *dre, *dim;  // of a: (batch, P) each or, where it varies, (batch, length, P)
};

template <bool VARYING, int G>
void backward(const Modes& m, size b, const Gradients& given) {
    Flushing flushing;
    size half = m.modes, row = 2 * half, origin = b * m.length * row;
    Pair a[G], g[G] = {}, in[G], before[G], da[G], sum[G] = {}, total[G] = {};
    if (!VARYING) load_pairs<G>(m, m.re, m.im, a);
    for (size t = m.length - 1; t >= 0; t--) {
        size here = origin + t * row, at = b * m.length + t;
        __builtin_prefetch(given.dx + here + m.first - least(t, AHEAD) * row);
        __builtin_prefetch(given.x + here + m.first - least(t, AHEAD) * row);
        load_pairs<G>(m, given.dx + here, given.dx + here + half, in);
        if (VARYING) load_pairs<G>(m, m.re + at * m.pitch, m.im + at * m.pitch, a);
        const float* x = t ? given.x + here - row : given.start ? given.start + b * row : nullptr;
        if (x)
            load_pairs<G>(m, x, x + half, before);
        else
            memset(before, 0, sizeof before);
        UNROLLED for (int k = 0; k < G; k++) {
            g[k].re += in[k].re;
            g[k].im += in[k].im;
        }
        store_pairs<G>(m, given.dv + here, given.dv + here + half, g);
        UNROLLED for (int k = 0; k < G; k++) {
            da[k].re = g[k].re * before[k].re + g[k].im * before[k].im;
            da[k].im = g[k].im * before[k].re - g[k].re * before[k].im;
            lanes re = a[k].re * g[k].re + a[k].im * g[k].im;
            g[k].im = a[k].re * g[k].im - a[k].im * g[k].re;
            g[k].re = re;
            sum[k].re += da[k].re;
            sum[k].im += da[k].im;
        }
        if (VARYING) store_pairs<G>(m, given.dre + at * half, given.dim + at * half, da);
        // Over short spans first, so that a long sum loses little.
        if (!VARYING && t % SPAN == 0) {
            UNROLLED for (int k = 0; k < G; k++) {
                total[k].re += sum[k].re;
                total[k].im += sum[k].im;
                sum[k] = Pair{};
            }
        }
    }
    if (!VARYING) store_pairs<G>(m, given.dre + b * half, given.dim + b * half, total);
    store_pairs<G>(m, given.dstart + b * row, given.dstart + b * row + half, g);
}

// A job is a few vectors of modes of one sequence.
inline Modes job_of(Modes m, size job, size vectors, size* b) {
    size groups = (blocks_of(m.modes) + vectors - 1) / vectors;
    *b = job / groups;
    m.first = job % groups * vectors * LANES;
    return m;
}

inline size job_count(const Modes& m, size vectors) { return m.batch * ((blocks_of(m.modes) + vectors - 1) / vectors); }

template <bool VARYING>
void run_forward(const Modes& all, int threads, const float* v, const float* start, float* x) {
    size jobs = job_count(all, FORWARD);
    FOR_THREADS(threads) for (size job = 0; job < jobs; job++) {
        size b;
        Modes m = job_of(all, job, FORWARD, &b);
        switch (least(FORWARD, blocks_of(m.modes - m.first))) {
            case 1: forward<VARYING, 1>(m, b, v, start, x); break;
            case 2: forward<VARYING, 2>(m, b, v, start, x); break;
            case 3: forward<VARYING, 3>(m, b, v, start, x); break;
            default: forward<VARYING, 4>(m, b, v, start, x);
        }
    }
}

template <bool VARYING>
void run_backward(const Modes& all, int threads, const Gradients& given) {
    size jobs = job_count(all, BACKWARD);
    FOR_THREADS(threads) for (size job = 0; job < jobs; job++) {
        size b;
        Modes m = job_of(all, job, BACKWARD, &b);
        if (least(BACKWARD, blocks_of(m.modes - m.first)) == 1)
            backward<VARYING, 1>(m, b, given);
        else
            backward<VARYING, 2>(m, b, given);
    }
}

}  // namespace

KERNEL(modes_forward)
(size threads, size varying, size pitch, size batch, size length, size modes, const float* v, const float* start,
 const float* re, const float* im, float* x) {
    Modes all = {batch, length, modes, pitch, re, im, 0};
    if (varying)
        run_forward<true>(all, (int)threads, v, start, x);
    else
        run_forward<false>(all, (int)threads, v, start, x);
    return 0;
}

// Gradients dx of the states x that forward left -> those of what went in.
KERNEL(modes_backward)
(size threads, size varying, size pitch, size batch, size length, size modes, const float* x, const float* start,
 const float* re, const float* im, const float* dx, float* dv, float* dstart, float* dre, float* dim) {
    Modes all = {batch, length, modes, pitch, re, im, 0};
    Gradients given = {x, start, dx, dv, dstart, dre, dim};
    if (varying)
        run_backward<true>(all, (int)threads, given);
    else
        run_backward<false>(all, (int)threads, given);
    return 0;
}
