// A bank of systems whose A is complex diagonal minus a product of low rank: forward and backward.
//
//     x_t = D x_{t-1} - sum_r left_r s_{t,r} + b u_t        s_{t,r} = right_r . x_{t-1}
//
// s ties all states of a system to each other, so that they go from time to time together, in cache: while the states
// of one time are made, s of the next is summed. Backward the same is true of left_r . h, for gradients h of the states;
// the gradients of the parameters are then sums over times in which states are on their own again.
#include "bank.h"

namespace {

template <int RANK>
struct LowRank {
    enum { A = 0, C = 2, B = 4, LEFT = 6, RIGHT = 6 + 2 * RANK, COLUMNS = 6 + 4 * RANK, PAIR = 2 };

    // What a bundle of states gives with the columns from `of` on, one number a rank.
    static void product(const Bank& bank, const lanes* p, const lanes* x, int of, lanes* to) {
        for (int r = 0; r < RANK; r++) to[r] = lanes{};
        for (size n = 0; n < bank.places; n++)
            for (int r = 0; r < RANK; r++)
                for (int i = 0; i < 2; i++) to[r] += p[n * COLUMNS + of + 2 * r + i] * x[2 * n + i];
    }

    // The state after one more time, from x to `next`, which may be the same; s becomes that of the next time.
    // Returns c . x where it is wanted.
    template <bool READ>
    static lanes advance(const Bank& bank, const lanes* p, const lanes* x, lanes* next, lanes u, lanes* s) {
        lanes y[PAIR] = {}, later[PAIR][RANK] = {}, now[RANK];
        memcpy(now, s, sizeof now);
        for (size n = 0; n < bank.places; n += PAIR, p += PAIR * COLUMNS, x += 2 * PAIR, next += 2 * PAIR) {
            UNROLLED for (int k = 0; k < PAIR; k++) {
                const lanes* q = p + k * COLUMNS;
                lanes re = x[2 * k], im = x[2 * k + 1], to[2];
                UNROLLED for (int i = 0; i < 2; i++) {
                    to[i] = q[B + i] * u;
                    UNROLLED for (int r = 0; r < RANK; r++) to[i] -= q[LEFT + 2 * r + i] * now[r];
                }
                to[0] = q[A] * re + (to[0] - q[A + 1] * im);
                to[1] = q[A] * im + (to[1] + q[A + 1] * re);
                UNROLLED for (int i = 0; i < 2; i++) {
                    if constexpr (READ) y[k] += q[C + i] * to[i];
                    UNROLLED for (int r = 0; r < RANK; r++) later[k][r] += q[RIGHT + 2 * r + i] * to[i];
                    next[2 * k + i] = to[i];
                }
            }
        }
        for (int r = 0; r < RANK; r++) s[r] = later[0][r] + later[1][r];
        return y[0] + y[1];
    }

    // Gradients h of the states at a time -> those at the time before it, whose output has the gradient dy. s becomes
    // left . h of it. Returns b . h of it.
    static lanes retreat(const Bank& bank, const lanes* p, const lanes* h, lanes* next, lanes dy, lanes* s) {
        lanes out[PAIR] = {}, later[PAIR][RANK] = {}, now[RANK];
        memcpy(now, s, sizeof now);
        for (size n = 0; n < bank.places; n += PAIR, p += PAIR * COLUMNS, h += 2 * PAIR, next += 2 * PAIR) {
            UNROLLED for (int k = 0; k < PAIR; k++) {
                const lanes* q = p + k * COLUMNS;
                lanes re = h[2 * k], im = h[2 * k + 1], to[2];
                UNROLLED for (int i = 0; i < 2; i++) {
                    to[i] = q[C + i] * dy;
                    UNROLLED for (int r = 0; r < RANK; r++) to[i] -= q[RIGHT + 2 * r + i] * now[r];
                }
                to[0] = q[A] * re + (to[0] + q[A + 1] * im);
                to[1] = q[A] * im + (to[1] - q[A + 1] * re);
                UNROLLED for (int i = 0; i < 2; i++) {
                    out[k] += q[B + i] * to[i];
                    UNROLLED for (int r = 0; r < RANK; r++) later[k][r] += q[LEFT + 2 * r + i] * to[i];
                    next[2 * k + i] = to[i];
                }
            }
        }
        for (int r = 0; r < RANK; r++) s[r] = later[0][r] + later[1][r];
        return out[0] + out[1];
    }

    // The gradients of one state's parameters in a tile, from its states (one more than times) and their gradients,
    // which lie `step` vectors apart from time to time.
    static void gather(const lanes* x, const lanes* h, size step, const lanes* s, const lanes* back, const lanes* u,
                       const lanes* dy, lanes* sums, size times) {
        lanes sum[COLUMNS] = {}, before[2] = {x[0], x[1]};
        for (size t = 0; t < times; t++) {
            x += step;
            lanes now[2] = {x[0], x[1]}, g[2] = {h[t * step], h[t * step + 1]};
            sum[A] += g[0] * before[0];
            sum[A] += g[1] * before[1];
            sum[A + 1] += g[1] * before[0];
            sum[A + 1] -= g[0] * before[1];
            UNROLLED for (int i = 0; i < 2; i++) {
                sum[C + i] += dy[t] * now[i];
                sum[B + i] += u[t] * g[i];
                UNROLLED for (int r = 0; r < RANK; r++) {
                    sum[LEFT + 2 * r + i] -= g[i] * s[t * RANK + r];
                    sum[RIGHT + 2 * r + i] -= back[t * RANK + r] * before[i];
                }
                before[i] = now[i];
            }
        }
        for (int f = 0; f < COLUMNS; f++) sums[f] += sum[f];
    }

    static void forward_tile(const Bank& bank, const lanes* p, lanes* x, const lanes* u, lanes* y, lanes*, size times,
                             const float*) {
        lanes s[RANK];
        product(bank, p, x, RIGHT, s);
        for (size t = 0; t < times; t++) y[t] += advance<true>(bank, p, x, x, u[t], s);
    }

    static void backward_tile(const Bank& bank, const lanes* p, const lanes* x, lanes* g, lanes* sums, const lanes* u,
                              const lanes* dy, lanes* du, lanes* work, size times, const float*) {
        size n = bank.numbers();
        lanes *path = work, *h = path + (TILE + 1) * n, *s = h + TILE * n, *back = s + (TILE + 1) * RANK;
        memcpy(path, x, sizeof(lanes) * n);
        product(bank, p, x, RIGHT, s);
        for (size t = 0; t < times; t++) {
            memcpy(s + (t + 1) * RANK, s + t * RANK, sizeof(lanes) * RANK);
            advance<false>(bank, p, path + t * n, path + (t + 1) * n, u[t], s + (t + 1) * RANK);
        }
        // At the last time g is there already: nothing has to be moved back, only the output is added.
        lanes* last = h + (times - 1) * n;
        for (size k = 0; k < bank.places; k++)
            for (int i = 0; i < 2; i++) last[2 * k + i] = g[2 * k + i] + dy[times - 1] * p[k * COLUMNS + C + i];
        lanes along[RANK], out = {};
        product(bank, p, last, LEFT, along);
        for (size k = 0; k < bank.places; k++)
            for (int i = 0; i < 2; i++) out += p[k * COLUMNS + B + i] * last[2 * k + i];
        du[times - 1] += out;
        for (size t = times - 1; t >= 0; t--) {
            memcpy(back + t * RANK, along, sizeof along);
            if (t)
                du[t - 1] += retreat(bank, p, h + t * n, h + (t - 1) * n, dy[t - 1], along);
            else
                retreat(bank, p, h, g, lanes{}, along);
        }
        for (size k = 0; k < bank.places; k++)
            gather(path + 2 * k, h + 2 * k, n, s, back, u, dy, sums + k * COLUMNS, times);
    }

    static size work(const Bank& bank) {
        return (2 * TILE + 1) * bank.numbers() + (2 * TILE + 1) * RANK;
    }

    static Bank complete(Bank bank) {
        bank.parts = 2;
        bank.states = bank.rows / 2;
        bank.places = (bank.states + PAIR - 1) / PAIR * PAIR;
        bank.columns = COLUMNS;
        return bank;
    }

    template <class Number>
    static void columns(Column<Number>* to, const Bank& bank, Number* a, Number* b, Number* c, Number* left,
                        Number* right) {
        add_columns(to, bank, a);
        add_columns(to, bank, c);
        add_columns(to, bank, b);
        for (size r = 0; r < RANK; r++) add_columns(to, bank, left, RANK, r);
        for (size r = 0; r < RANK; r++) add_columns(to, bank, right, RANK, r);
    }
};

}  // namespace

#include "run.h"

namespace {

struct Parameters {
    const float *a, *b, *c, *left, *right;
};

struct Gradients {
    float *a, *b, *c, *left, *right;
};

template <int RANK>
int forward(const Bank& given, const Forward& job, const Parameters& p) {
    using Kind = LowRank<RANK>;
    Bank bank = Kind::complete(given);
    Column<const float> columns[MOST_COLUMNS];
    Kind::columns(columns, bank, p.a, p.b, p.c, p.left, p.right);
    return run_forward<Kind>(bank, job, columns);
}

template <int RANK>
int backward(const Bank& given, const Backward& job, const Parameters& p, const Gradients& g) {
    using Kind = LowRank<RANK>;
    Bank bank = Kind::complete(given);
    Column<const float> columns[MOST_COLUMNS];
    Column<float> gradients[MOST_COLUMNS];
    Kind::columns(columns, bank, p.a, p.b, p.c, p.left, p.right);
    Kind::columns(gradients, bank, g.a, g.b, g.c, g.left, g.right);
    return run_backward<Kind>(bank, job, columns, gradients);
}

}  // namespace

// left and right are (channels, rank, N), rank 1 or 2; d, start and checkpoints may be null.
KERNEL(low_rank_forward)
(size threads, size rank, size batch, size length, size channels, size rows, size reversed, const float* u,
 const float* start, const float* a, const float* b, const float* c, const float* d, const float* left,
 const float* right, float* y, float* after, float* checkpoints) {
    Bank bank = {batch, length, channels, rows, 0, 0, 0, 0, u, d, reversed};
    Forward job = {threads, {}, start, y, after, checkpoints};
    Parameters p = {a, b, c, left, right};
    return rank == 1 ? forward<1>(bank, job, p) : forward<2>(bank, job, p);
}

// Gradients dy, dafter of what came out -> those of what went in; dd is not written where d is null.
KERNEL(low_rank_backward)
(size threads, size rank, size batch, size length, size channels, size rows, size reversed, const float* u,
 const float* a, const float* b, const float* c, const float* d, const float* left, const float* right,
 const float* checkpoints, const float* dy, const float* dafter, float* du, float* dstart, float* da, float* db,
 float* dc, float* dd, float* dleft, float* dright) {
    Bank bank = {batch, length, channels, rows, 0, 0, 0, 0, u, d, reversed};
    Backward job = {threads, {}, checkpoints, dy, dafter, du, dstart, d ? dd : nullptr, {}};
    Parameters p = {a, b, c, left, right};
    Gradients g = {da, db, dc, dleft, dright};
    return rank == 1 ? backward<1>(bank, job, p, g) : backward<2>(bank, job, p, g);
}

// The same behind a filter: `gate` is its number, 0 for none, and there are 1 to 8 taps w; before and bias may be null.
KERNEL(gated_low_rank_forward)
(size threads, size rank, size batch, size length, size channels, size rows, size gate, size taps, const float* u,
 const float* before, const float* w, const float* bias, const float* start, const float* a, const float* b,
 const float* c, const float* d, const float* left, const float* right, float* y, float* after, float* checkpoints) {
    Bank bank = {batch, length, channels, rows, 0, 0, 0, 0, u, d};
    Filter front = filter_of(gate, batch, length, channels, taps, u, before, w, bias);
    Forward job = {threads, front, start, y, after, checkpoints};
    Parameters p = {a, b, c, left, right};
    return rank == 1 ? forward<1>(bank, job, p) : forward<2>(bank, job, p);
}

// Gradients of what is null are not written.
KERNEL(gated_low_rank_backward)
(size threads, size rank, size batch, size length, size channels, size rows, size gate, size taps, const float* u,
 const float* before, const float* w, const float* bias, const float* a, const float* b, const float* c, const float* d,
 const float* left, const float* right, const float* checkpoints, const float* dy, const float* dafter, float* du,
 float* dbefore, float* dw, float* dbias, float* dstart, float* da, float* db, float* dc, float* dd, float* dleft,
 float* dright) {
    Bank bank = {batch, length, channels, rows, 0, 0, 0, 0, u, d};
    Filter front = filter_of(gate, batch, length, channels, taps, u, before, w, bias);
    FilterGradients dfront = {before ? dbefore : nullptr, dw, bias ? dbias : nullptr};
    Backward job = {threads, front, checkpoints, dy, dafter, du, dstart, d ? dd : nullptr, dfront};
    Parameters p = {a, b, c, left, right};
    Gradients g = {da, db, dc, dleft, dright};
    return rank == 1 ? backward<1>(bank, job, p, g) : backward<2>(bank, job, p, g);
}
