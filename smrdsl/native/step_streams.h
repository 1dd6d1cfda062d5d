// What is done to each number of a stream, or to each row of it by itself.
#pragma once

#include "step.h"

namespace {

// 1 + erf(x / sqrt(2)), right to 1e-7. 1 - erf(t) is e^-(t^2 + p(t)) for t > 0 with p smooth, fitted from 0 to 5.
inline lanes twice_normal(lanes x) {
    lanes t = size_of(x) * 0.707106781f, s = at_most(t, 5.0f);
    lanes p = s * 3.14359859e-5f - 3.08767980e-4f;
    p = p * s + 1.03229168e-3f;
    p = p * s + 5.37110667e-4f;
    p = p * s - 1.95841119e-2f;
    p = p * s + 0.102919683f;
    p = p * s - 0.363402277f;
    p = p * s + 1.1283803f;
    lanes beyond = fading(t * t + p * s);
    return x < 0.0f ? beyond : 2.0f - beyond;
}

enum { IDENTITY, SIGMOID, TANH, SILU, GELU, GELU_TANH, RELU, RELU2, SOFTPLUS, LAPLACE, SIGMOID2, TANH1, FUNCTIONS };

template <int F>
inline lanes function(lanes x) {
    lanes slope;
    if constexpr (F == SIGMOID) return sigmoid(x, &slope);
    if constexpr (F == TANH) return tangent(x, &slope);
    if constexpr (F == SILU) return x * sigmoid(x, &slope);
    if constexpr (F == GELU) return 0.5f * x * twice_normal(x);
    // 1 + tanh(z) is 2 sigmoid(2 z)
    if constexpr (F == GELU_TANH) return x * sigmoid(1.59576912f * (x + 0.044715f * x * x * x), &slope);
    if constexpr (F == RELU) return at_least(x, 0.0f);
    if constexpr (F == RELU2) return at_least(x, 0.0f) * at_least(x, 0.0f);
    if constexpr (F == SOFTPLUS) return softplus(x, &slope);
    if constexpr (F == LAPLACE) return 0.5f * twice_normal((x - 0.707107f) * (1.0f / 0.282095f));
    if constexpr (F == SIGMOID2) return 2.0f * sigmoid(x, &slope);
    if constexpr (F == TANH1) return 2.0f * sigmoid(2.0f * x, &slope);
    return x;
}

template <int F>
struct Function {
    static lanes of(lanes x) { return function<F>(x); }
};

// `work` with the function of a number, known when this is compiled.
template <class Work, int F = 0>
void with_function(size number, Work work) {
    if constexpr (F < FUNCTIONS) {
        if (number == F) return work(Function<F>());
        with_function<Work, F + 1>(number, work);
    }
}

struct Map {  // y = f(x)
    Rows y, x;
    size width, function;
};

void map(const Map& m, Span span) {
    with_function(m.function, [&](auto f) {
        for (size b = span.first; b < span.last; b++) {
            float *y = m.y.row(b), *x = m.x.row(b);
            for_vectors(m.width, [&](size i, size n) { store_some(y + i, f.of(load_some(x + i, n)), n); });
        }
    });
}

struct Gate {  // y = x f(z)
    Rows y, x, z;
    size width, function;
};

void gate(const Gate& m, Span span) {
    with_function(m.function, [&](auto f) {
        for (size b = span.first; b < span.last; b++) {
            float *y = m.y.row(b), *x = m.x.row(b), *z = m.z.row(b);
            for_vectors(m.width, [&](size i, size n) {
                store_some(y + i, load_some(x + i, n) * f.of(load_some(z + i, n)), n);
            });
        }
    });
}

struct Sum {  // y = x + scale z
    Rows y, x, z;
    size width;
    double scale;
};

void sum(const Sum& m, Span span) {
    float scale = (float)m.scale;
    for (size b = span.first; b < span.last; b++) {
        float *y = m.y.row(b), *x = m.x.row(b), *z = m.z.row(b);
        for_vectors(m.width, [&](size i, size n) {
            store_some(y + i, load_some(x + i, n) + scale * load_some(z + i, n), n);
        });
    }
}

struct Affine {  // y = w x + shift, either of which may be missing
    Rows y, x;
    const float *w, *shift;
    size width;
};

void affine(const Affine& m, Span span) {
    for (size b = span.first; b < span.last; b++) {
        float *y = m.y.row(b), *x = m.x.row(b);
        for_vectors(m.width, [&](size i, size n) {
            lanes v = load_some(x + i, n);
            if (m.w) v = m.shift ? v * load_some(m.w + i, n) + load_some(m.shift + i, n) : v * load_some(m.w + i, n);
            else if (m.shift) v = v + load_some(m.shift + i, n);
            store_some(y + i, v, n);
        });
    }
}

struct Norm {  // by mean and variance, or by size alone; of each of several groups by itself
    Rows y, x;
    const float *w, *shift;
    size width, groups, centred;
    double eps;
};

void norm(const Norm& m, Span span) {
    size own = m.width / m.groups;
    for (size b = span.first; b < span.last; b++)
        for (size group = 0; group < m.groups; group++) {
            float *y = m.y.row(b) + group * own, *x = m.x.row(b) + group * own;
            const float *w = m.w ? m.w + group * own : nullptr, *shift = m.shift ? m.shift + group * own : nullptr;
            lanes total = {}, squares = {};
            if (m.centred) for_vectors(own, [&](size i, size n) { total += load_some(x + i, n); });
            float mean = sum_of(total) / own;
            for_vectors(own, [&](size i, size n) {
                lanes v = load_some(x + i, n) - mean;
                store_some(y + i, v, n);
                v = load_some(y + i, n);  // zeros where there is nothing
                squares += v * v;
            });
            float scale = 1.0f / __builtin_sqrtf(sum_of(squares) / own + (float)m.eps);
            for_vectors(own, [&](size i, size n) {
                lanes v = load_some(y + i, n) * scale;
                if (w) v *= load_some(w + i, n);
                if (shift) v += load_some(shift + i, n);
                store_some(y + i, v, n);
            });
        }
}

struct Copy {  // y = x
    Rows y, x;
    size width;
};

void copy(const Copy& m, Span span) {
    for (size b = span.first; b < span.last; b++) memcpy(m.y.row(b), m.x.row(b), sizeof(float) * m.width);
}

// Whole numbers, one for each sequence, `pitch` numbers apart.
struct Index {
    size *at, pitch;
    size& operator[](size b) const { return at[b * pitch]; }
};

struct Gather {  // y = the row of a table that an index names
    Rows y;
    Index index;
    const float* table;
    size width, count;

    bool fits(Span span) const {
        for (size b = span.first; b < span.last; b++)
            if (index[b] < 0 || index[b] >= count) return false;
        return true;
    }
};

void gather(const Gather& m, Span span) {
    for (size b = span.first; b < span.last; b++)
        memcpy(m.y.row(b), m.table + m.index[b] * m.width, sizeof(float) * m.width);
}

struct Count {  // one more
    Index index;
};

void count(const Count& m, Span span) {
    for (size b = span.first; b < span.last; b++) m.index[b]++;
}

}  // namespace
