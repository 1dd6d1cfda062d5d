// y = W x + bias, or with y added. W lies in panels of PANEL outputs, (panels, inputs, PANEL), zeros behind the last:
// it is read in order and, for few sequences, once, which is all that such a product costs. Each row of a batch has
// sums of its own in registers; inputs are only read where there are some, so that nothing comes of what lies behind.
#pragma once

#include "step.h"

namespace {

enum { WIDE = PANEL / LANES, MOST_ROWS = REGISTERS == 32 ? 24 / WIDE : WIDE == 4 ? 2 : 1, CHAINS = 4, AHEAD = 4096 };

struct Linear {
    Rows y, x;
    const float *w, *bias;
    size in, out, add;
};

// The weights of an input, asked for ahead of time: a stack's do not stay in the nearest caches from sample to sample.
inline void fetch(const float* w) {
    for (int i = 0; i < PANEL; i += 16) __builtin_prefetch(w + AHEAD + i);
}

// What the sums of a row begin with.
inline void begin(const Linear& m, size panel, size b, lanes* sum) {
    UNROLLED for (int k = 0; k < WIDE; k++) {
        size first = panel * PANEL + k * LANES, count = least(LANES, m.out - first);
        sum[k] = lanes{};
        if (count <= 0) continue;
        if (m.bias) sum[k] = load_some(m.bias + first, count);
        if (m.add) sum[k] += load_some(m.y.row(b) + first, count);
    }
}

inline void finish(const Linear& m, size panel, size b, const lanes* sum) {
    UNROLLED for (int k = 0; k < WIDE; k++) {
        size first = panel * PANEL + k * LANES, count = least(LANES, m.out - first);
        if (count > 0) store_some(m.y.row(b) + first, sum[k], count);
    }
}

// One row: a few sums for each output, since each waits for its own last product.
inline void multiply_row(const Linear& m, size panel, size b) {
    const float *w = m.w + panel * m.in * PANEL, *x = m.x.row(b);
    lanes sum[CHAINS][WIDE] = {};
    begin(m, panel, b, sum[0]);
    size i = 0;
    for (; i + CHAINS <= m.in; i += CHAINS, w += CHAINS * PANEL) {
        UNROLLED for (int c = 0; c < CHAINS; c++) {
            fetch(w + c * PANEL);
            UNROLLED for (int k = 0; k < WIDE; k++) sum[c][k] += load(w + c * PANEL + k * LANES) * x[i + c];
        }
    }
    for (; i < m.in; i++, w += PANEL)
        UNROLLED for (int k = 0; k < WIDE; k++) sum[0][k] += load(w + k * LANES) * x[i];
    UNROLLED for (int k = 0; k < WIDE; k++) sum[0][k] += sum[1][k] + (sum[2][k] + sum[3][k]);
    finish(m, panel, b, sum[0]);
}

// R rows at once.
template <int R>
void multiply_rows(const Linear& m, size panel, size b) {
    const float *w = m.w + panel * m.in * PANEL, *x = m.x.row(b);
    lanes sum[R][WIDE];
    UNROLLED for (int r = 0; r < R; r++) begin(m, panel, b + r, sum[r]);
    for (size i = 0; i < m.in; i++, w += PANEL) {
        fetch(w);
        lanes v[WIDE];
        UNROLLED for (int k = 0; k < WIDE; k++) v[k] = load(w + k * LANES);
        UNROLLED for (int r = 0; r < R; r++) {
            float scalar = x[r * m.x.pitch + i];
            UNROLLED for (int k = 0; k < WIDE; k++) sum[r][k] += v[k] * scalar;
        }
    }
    UNROLLED for (int r = 0; r < R; r++) finish(m, panel, b + r, sum[r]);
}

// The last rows of a batch, fewer than R.
template <int R>
void multiply_rest(const Linear& m, size panel, size b, size rows) {
    if constexpr (R > 1) {
        if (rows == R) return multiply_rows<R>(m, panel, b);
        multiply_rest<R - 1>(m, panel, b, rows);
    } else if (rows == 1) {
        multiply_row(m, panel, b);
    }
}

void linear(const Linear& m, Span span) {
    for (size panel = 0; panel * PANEL < m.out; panel++) {
        size b = span.first;
        for (; b + MOST_ROWS <= span.last; b += MOST_ROWS) multiply_rest<MOST_ROWS>(m, panel, b, MOST_ROWS);
        if (b < span.last) multiply_rest<MOST_ROWS>(m, panel, b, span.last - b);
    }
}

}  // namespace
