// One sample through a bank of systems (`bank.h`), from a state to another, as the arrays of torch lie: for a step that
// is no program's, whose state is not kept here. Vectors lie across the numbers of a state, (batch, channels, N), since
// there is no time in which to turn it round.
//
//     x = A x + b u        y = c . x + d u        A diagonal, real or complex, less a product of low rank
#include "step.h"

namespace {

enum { WORTH_THREADS = 1 << 19 };  // numbers in all states from which on threads pay

struct Bank {
    size channels, numbers, parts, rank;
    const float *a, *b, *c, *d, *left, *right;
};

// right . x for one rank.
inline float along(const float* right, const float* x, size numbers) {
    lanes sum = {};
    for_vectors(numbers, [&](size i, size n) { sum += load_some(right + i, n) * load_some(x + i, n); });
    return sum_of(sum);
}

// The state of channel h after x, to `y`; gives c . y. `taken` is right . x for each rank.
inline float follow(const Bank& m, size h, float u, const float* x, float* y, const float* taken) {
    size part = m.numbers / m.parts, row = h * m.numbers;
    const float *a = m.a + row, *b = m.b + row, *c = m.c + row;
    lanes sum = {};
    for_vectors(part, [&](size i, size n) {
        lanes to[2];
        if (m.parts == 1) {
            to[0] = load_some(a + i, n) * load_some(x + i, n) + load_some(b + i, n) * u;
        } else {
            lanes re = load_some(x + i, n), im = load_some(x + part + i, n);
            lanes ar = load_some(a + i, n), ai = load_some(a + part + i, n);
            to[0] = ar * re + (load_some(b + i, n) * u - ai * im);
            to[1] = ar * im + (load_some(b + part + i, n) * u + ai * re);
        }
        for (size p = 0; p < m.parts; p++) {
            for (size r = 0; r < m.rank; r++)
                to[p] -= load_some(m.left + h * m.rank * m.numbers + r * m.numbers + p * part + i, n) * taken[r];
            store_some(y + p * part + i, to[p], n);
            sum += load_some(c + p * part + i, n) * load_some(y + p * part + i, n);
        }
    });
    return sum_of(sum);
}

enum { MOST_RANKS = 4 };

void follow_all(const Bank& m, size first, size last, const float* u, const float* x, float* y, float* after) {
    Flushing flushing;
    for (size i = first; i < last; i++) {
        size h = i % m.channels;
        float taken[MOST_RANKS];
        for (size r = 0; r < m.rank; r++)
            taken[r] = along(m.right + (h * m.rank + r) * m.numbers, x + i * m.numbers, m.numbers);
        float sum = follow(m, h, u[i], x + i * m.numbers, after + i * m.numbers, taken);
        y[i] = m.d ? sum + m.d[h] * u[i] : sum;
    }
}

}  // namespace

KERNEL(bank_step)
(size threads, size parts, size rank, size batch, size channels, size numbers, const float* u, const float* x,
 const float* a, const float* b, const float* c, const float* d, const float* left, const float* right, float* y,
 float* after) {
    Bank m = {channels, numbers, parts, rank, a, b, c, d, left, right};
    size all = batch * channels;
    if (all * numbers < WORTH_THREADS) threads = 1;
    FOR_THREADS((int)threads) for (size t = 0; t < threads; t++)
        follow_all(m, all * t / threads, all * (t + 1) / threads, u, x, y, after);
    return 0;
}
