// One sample through what keeps a state, which is changed in place.
#pragma once

#include "step_streams.h"

namespace {

// x = A x + b u, y = c . x + d u, one system for each channel. A is diagonal, real or complex, less a product of low
// rank; the numbers of a state are the real parts before the imaginary ones. A block has, for each (pair of) number(s),
// a, b, c and for each rank left and right, all of them with their parts.
struct System {
    Rows y, u;
    const float *p, *d;
    float* x;
    size width, states, parts, rank;

    size numbers() const { return states * parts; }
    size columns() const { return (3 + 2 * rank) * parts; }
};

template <int PARTS>
inline lanes advance(const System& s, const float* p, float* x, lanes u) {
    size columns = s.columns() * BLOCK, half = s.states * BLOCK;
    lanes y[2] = {};
    for (size n = 0; n < s.states; n++, p += columns, x += BLOCK) {
        if constexpr (PARTS == 1) {
            lanes v = load(p) * load(x) + load(p + BLOCK) * u;
            y[0] += load(p + 2 * BLOCK) * v;
            store(x, v);
        } else {
            lanes re = load(x), im = load(x + half), ar = load(p), ai = load(p + BLOCK);
            lanes v = ar * re + (load(p + 2 * BLOCK) * u - ai * im);
            lanes w = ar * im + (load(p + 3 * BLOCK) * u + ai * re);
            y[0] += load(p + 4 * BLOCK) * v;
            y[1] += load(p + 5 * BLOCK) * w;
            store(x, v);
            store(x + half, w);
        }
    }
    return y[0] + y[1];
}

// right . x before, for a complex system and one of its ranks.
inline lanes along(const System& s, const float* p, const float* x, size rank) {
    size columns = s.columns() * BLOCK, half = s.states * BLOCK;
    lanes found[2] = {};
    p += (8 + 4 * rank) * BLOCK;
    for (size n = 0; n < s.states; n++, p += columns, x += BLOCK) {
        found[0] += load(p) * load(x);
        found[1] += load(p + BLOCK) * load(x + half);
    }
    return found[0] + found[1];
}

// What a rank takes off the state that `advance` has left, and off its output.
inline lanes take_off(const System& s, const float* p, float* x, size rank, lanes found) {
    size columns = s.columns() * BLOCK, half = s.states * BLOCK;
    lanes y = {};
    for (size n = 0; n < s.states; n++, p += columns, x += BLOCK) {
        const float* left = p + (6 + 4 * rank) * BLOCK;
        lanes re = load(left) * found, im = load(left + BLOCK) * found;
        store(x, load(x) - re);
        store(x + half, load(x + half) - im);
        y += load(p + 4 * BLOCK) * re + load(p + 5 * BLOCK) * im;
    }
    return y;
}

enum { MOST_RANKS = 4 };

void system(const System& s, Span span) {
    size blocks = blocks_for(s.width), state = s.numbers() * BLOCK;
    for_blocks(s.width, [&](size block, size lane, size count) {
        const float* p = s.p + block * s.states * s.columns() * BLOCK + lane;
        size first = block * BLOCK + lane;
        lanes d = s.d ? load_some(s.d + first, count) : lanes{};
        for (size b = span.first; b < span.last; b++) {
            float* x = s.x + (b * blocks + block) * state + lane;
            lanes u = load_some(s.u.row(b) + first, count), found[MOST_RANKS];
            for (size r = 0; r < s.rank; r++) found[r] = along(s, p, x, r);
            lanes y = s.parts == 1 ? advance<1>(s, p, x, u) : advance<2>(s, p, x, u);
            for (size r = 0; r < s.rank; r++) y -= take_off(s, p, x, r, found[r]);
            store_some(s.y.row(b) + first, s.d ? y + d * u : y, count);
        }
    });
}

struct Modes {  // x = a x + v, complex numbers, in x and v the real parts before the imaginary ones
    Rows x, v;
    const float *re, *im;
    size modes;
};

void modes(const Modes& m, Span span) {
    for (size b = span.first; b < span.last; b++) {
        float *x = m.x.row(b), *y = x + m.modes, *v = m.v.row(b), *w = v + m.modes;
        for_vectors(m.modes, [&](size i, size n) {
            lanes re = load_some(x + i, n), im = load_some(y + i, n);
            lanes ar = load_some(m.re + i, n), ai = load_some(m.im + i, n);
            store_some(x + i, ar * re + (load_some(v + i, n) - ai * im), n);
            store_some(y + i, ar * im + (load_some(w + i, n) + ai * re), n);
        });
    }
}

// h = exp(s a) h + s x b, y = c . h + d x, s = softplus(delta + bias); a comes times log2(e).
struct Selective {
    Rows y, x, delta, b, c;
    const float *bias, *a, *d;
    float* h;
    size width, states;
};

void selective(const Selective& m, Span span) {
    size blocks = blocks_for(m.width), state = m.states * BLOCK;
    for_blocks(m.width, [&](size block, size lane, size count) {
        const float* p = m.a + block * state + lane;
        size first = block * BLOCK + lane;
        lanes bias = load_some(m.bias + first, count), skip = m.d ? load_some(m.d + first, count) : lanes{}, slope;
        for (size b = span.first; b < span.last; b++) {
            float* h = m.h + (b * blocks + block) * state + lane;
            const float *in = m.b.row(b), *out = m.c.row(b);
            lanes x = load_some(m.x.row(b) + first, count), y[2] = {};
            lanes s = softplus(load_some(m.delta.row(b) + first, count) + bias, &slope), v = s * x;
            s = at_most(s, 1e10f);  // a huge step is as good as an infinite one, which would not go with a = 0
            size n = 0;
            for (; n + 2 <= m.states; n += 2)
                UNROLLED for (int k = 0; k < 2; k++) {
                    float* at = h + (n + k) * BLOCK;
                    lanes now = power(s, load(p + (n + k) * BLOCK)) * load(at) + v * in[n + k];
                    y[k] += now * out[n + k];
                    store(at, now);
                }
            if (n < m.states) {
                lanes now = power(s, load(p + n * BLOCK)) * load(h + n * BLOCK) + v * in[n];
                y[0] += now * out[n];
                store(h + n * BLOCK, now);
            }
            y[0] += y[1];
            store_some(m.y.row(b) + first, m.d ? y[0] + skip * x : y[0], count);
        }
    });
}

// The same for heads of channels, which share a step, a decay and d; groups of heads share b and c.
struct Heads {
    Rows y, x, delta, b, c;
    const float *bias, *a, *d;
    float* h;
    size heads, head, states, groups;
    double low, high;
};

// One head of one sequence, from its step and decay.
inline void one_head(const Heads& m, size b, size i, float step, float decay) {
    const float *in = m.b.row(b), *out = m.c.row(b);
    size group = i / (m.heads / m.groups), state = m.states * BLOCK;
    in += group * m.states;
    out += group * m.states;
    float* own = m.h + (b * m.heads + i) * blocks_for(m.head) * state;
    for_blocks(m.head, [&](size block, size lane, size count) {
        size first = i * m.head + block * BLOCK + lane;
        float* h = own + block * state + lane;
        lanes x = load_some(m.x.row(b) + first, count), v = step * x, y[2] = {};
        for (size n = 0; n < m.states; n++, h += BLOCK) {
            lanes now = decay * load(h) + v * in[n];
            y[n % 2] += now * out[n];
            store(h, now);
        }
        y[0] += y[1];
        store_some(m.y.row(b) + first, m.d ? y[0] + m.d[i] * x : y[0], count);
    });
}

void heads(const Heads& m, Span span) {
    for (size b = span.first; b < span.last; b++)
        for_vectors(m.heads, [&](size i, size count) {
            lanes slope, w = softplus(load_some(m.delta.row(b) + i, count) + load_some(m.bias + i, count), &slope);
            w = at_most(at_least(w, (float)m.low), (float)m.high);
            lanes decay = power(at_most(w, 1e10f), load_some(m.a + i, count));
            for (size j = 0; j < count; j++) one_head(m, b, i + j, w[j], decay[j]);
        });
}

// p = bias + w . (the last inputs), y = p or x f(p), w (taps, width); the inputs (sequences, taps - 1, width) move on.
struct Taps {
    Rows y, x;
    const float *w, *bias;
    float* inputs;
    size width, taps, gated, function;
};

template <class F>
void one_tap(const Taps& m, size b, F f) {
    size past = m.taps - 1;
    float *inputs = m.inputs + b * past * m.width, *x = m.x.row(b), *y = m.y.row(b);
    for_vectors(m.width, [&](size i, size n) {
        lanes now = load_some(x + i, n), p = m.bias ? load_some(m.bias + i, n) : lanes{};
        for (size k = 0; k < past; k++) {
            float* at = inputs + k * m.width + i;
            lanes before = load_some(at, n);
            p += load_some(m.w + k * m.width + i, n) * before;
            if (k) store_some(at - m.width, before, n);
        }
        p += load_some(m.w + past * m.width + i, n) * now;
        if (past) store_some(inputs + (past - 1) * m.width + i, now, n);
        store_some(y + i, m.gated ? now * f.of(p) : p, n);
    });
}

void taps(const Taps& m, Span span) {
    with_function(m.function, [&](auto f) {
        for (size b = span.first; b < span.last; b++) one_tap(m, b, f);
    });
}

struct Shift {  // the last inputs (sequences, past, width) move on
    Rows x;
    float* inputs;
    size width, past;
};

void shift(const Shift& m, Span span) {
    for (size b = span.first; m.past && b < span.last; b++) {
        float* inputs = m.inputs + b * m.past * m.width;
        memmove(inputs, inputs + m.width, sizeof(float) * (m.past - 1) * m.width);
        memcpy(inputs + (m.past - 1) * m.width, m.x.row(b), sizeof(float) * m.width);
    }
}

struct Pool {  // the mean of all samples, or the largest; count is how many there were
    Rows y, x, value;
    size* count;
    size width, largest;
};

void pool(const Pool& m, Span span) {
    for (size b = span.first; b < span.last; b++) {
        float *y = m.y.row(b), *x = m.x.row(b), *value = m.value.row(b), before = (float)m.count[b]++;
        for_vectors(m.width, [&](size i, size n) {
            lanes now = load_some(x + i, n), kept = load_some(value + i, n);
            if (m.largest)  // a NaN on either side stays
                kept = before == 0.0f ? now : (now > kept ? now : (now == now ? kept : now));
            else
                kept += now;
            store_some(value + i, kept, n);
            store_some(y + i, m.largest ? kept : kept / (before + 1.0f), n);
        });
    }
}

}  // namespace
