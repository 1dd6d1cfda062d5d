// A bank of systems with a diagonal A, real or complex: forward and backward.
//
// A state is one real number, or two that stand for a complex one. Nothing ties the states of a system to each other, so
// that a few of them run through a tile at once, in registers. Without b, the input goes to the (real) states as it is.
#include "bank.h"

namespace {

// The columns of a state: those of a, of c and, where it is `DRIVEN`, of b.
template <int PARTS, bool DRIVEN>
struct Diagonal {
    enum {
        A = 0,
        C = PARTS,
        B = 2 * PARTS,
        COLUMNS = PARTS * (DRIVEN ? 3 : 2),
        FORWARD = (REGISTERS == 32 ? 8 : 4) / PARTS,   // states at once
        BACKWARD = (REGISTERS == 32 ? 4 : 2) / PARTS,
    };

    // A x + b u
    static inline void move(const lanes* q, lanes* x, lanes u) {
        lanes in = u;
        if constexpr (DRIVEN) in = q[B] * u;
        if constexpr (PARTS == 1) {
            x[0] = q[A] * x[0] + in;
        } else {
            lanes turned = q[A + 1] * x[0];
            if constexpr (DRIVEN) turned += q[B + 1] * u;
            lanes re = q[A] * x[0] + (in - q[A + 1] * x[1]);
            x[1] = q[A] * x[1] + turned;
            x[0] = re;
        }
    }

    // From gradients h of the state at a time to those of the state before it, and of a.
    static inline void move_back(const lanes* q, const lanes* before, const lanes* h, lanes* g, lanes* sum) {
        if constexpr (PARTS == 1) {
            sum[A] += h[0] * before[0];
            g[0] = q[A] * h[0];
        } else {
            sum[A] += h[0] * before[0];
            sum[A] += h[1] * before[1];
            sum[A + 1] += h[1] * before[0];
            sum[A + 1] -= h[0] * before[1];
            g[0] = q[A] * h[0] + q[A + 1] * h[1];
            g[1] = q[A] * h[1] - q[A + 1] * h[0];
        }
    }

    // G states through a tile; y is added to.
    template <int G>
    static void advance(const lanes* p, lanes* states, const lanes* u, lanes* y, size times) {
        lanes q[G][COLUMNS], x[G][PARTS];
        memcpy(q, p, sizeof q);
        memcpy(x, states, sizeof x);
        for (size t = 0; t < times; t++) {
            lanes in = u[t], sum = y[t];
            UNROLLED for (int k = 0; k < G; k++) {
                move(q[k], x[k], in);
                UNROLLED for (int i = 0; i < PARTS; i++) sum += q[k][C + i] * x[k][i];
            }
            y[t] = sum;
        }
        memcpy(states, x, sizeof x);
    }

    // The same backwards, from the states before the tile and the gradients g of those after it. `path` has a place for
    // the states at all times; du and the sums of the parameters' gradients are added to.
    template <int G>
    static void retreat(const lanes* p, const lanes* states, lanes* gradients, lanes* sums, const lanes* u,
                        const lanes* dy, lanes* du, lanes* path, size times) {
        lanes q[G][COLUMNS], x[G][PARTS], g[G][PARTS], sum[G][COLUMNS];
        memcpy(q, p, sizeof q);
        memcpy(x, states, sizeof x);
        memcpy(g, gradients, sizeof g);
        memset(sum, 0, sizeof sum);
        memcpy(path, x, sizeof x);
        for (size t = 0; t < times; t++) {
            UNROLLED for (int k = 0; k < G; k++) {
                move(q[k], x[k], u[t]);
                UNROLLED for (int i = 0; i < PARTS; i++) path[((t + 1) * G + k) * PARTS + i] = x[k][i];
            }
        }
        for (size t = times - 1; t >= 0; t--) {
            lanes in = u[t], from = dy[t], out = du[t];
            UNROLLED for (int k = 0; k < G; k++) {
                const lanes *before = path + (t * G + k) * PARTS, *now = before + G * PARTS;
                lanes h[PARTS];
                UNROLLED for (int i = 0; i < PARTS; i++) {
                    h[i] = g[k][i] + from * q[k][C + i];
                    sum[k][C + i] += from * now[i];
                    if constexpr (DRIVEN) {
                        sum[k][B + i] += in * h[i];
                        out += q[k][B + i] * h[i];
                    }
                }
                if constexpr (!DRIVEN) out += h[0];
                move_back(q[k], before, h, g[k], sum[k]);
            }
            du[t] = out;
        }
        memcpy(gradients, g, sizeof g);
        for (int k = 0; k < G; k++)
            for (int f = 0; f < COLUMNS; f++) sums[k * COLUMNS + f] += sum[k][f];
    }

    // All states, as many at once as there are registers for.
    template <int G>
    static void advance_all(size states, const lanes* p, lanes* x, const lanes* u, lanes* y, size times) {
        size n = 0;
        for (; n + G <= states; n += G) advance<G>(p + n * COLUMNS, x + n * PARTS, u, y, times);
        if constexpr (G > 1)
            if (n < states) advance_all<G / 2>(states - n, p + n * COLUMNS, x + n * PARTS, u, y, times);
    }

    template <int G>
    static void retreat_all(size states, const lanes* p, const lanes* x, lanes* g, lanes* sums, const lanes* u,
                            const lanes* dy, lanes* du, lanes* path, size times) {
        size n = 0;
        for (; n + G <= states; n += G)
            retreat<G>(p + n * COLUMNS, x + n * PARTS, g + n * PARTS, sums + n * COLUMNS, u, dy, du, path, times);
        if constexpr (G > 1)
            if (n < states)
                retreat_all<G / 2>(states - n, p + n * COLUMNS, x + n * PARTS, g + n * PARTS, sums + n * COLUMNS, u, dy,
                                   du, path, times);
    }

    static void forward_tile(const Bank& bank, const lanes* p, lanes* x, const lanes* u, lanes* y, lanes*, size times,
                             const float*) {
        advance_all<FORWARD>(bank.states, p, x, u, y, times);
    }

    static void backward_tile(const Bank& bank, const lanes* p, const lanes* x, lanes* g, lanes* sums, const lanes* u,
                              const lanes* dy, lanes* du, lanes* work, size times, const float*) {
        retreat_all<BACKWARD>(bank.states, p, x, g, sums, u, dy, du, work, times);
    }

    // Vectors that a tile needs to work in, backwards.
    static size work(const Bank&) { return (TILE + 1) * BACKWARD * PARTS; }

    static Bank complete(Bank bank) {
        bank.parts = PARTS;
        bank.states = bank.places = bank.rows / PARTS;
        bank.columns = COLUMNS;
        return bank;
    }

    template <class Number>
    static void columns(Column<Number>* to, const Bank& bank, Number* a, Number* b, Number* c) {
        add_columns(to, bank, a);
        add_columns(to, bank, c);
        if (DRIVEN) add_columns(to, bank, b);
    }
};

}  // namespace

#include "run.h"

namespace {

template <int PARTS, bool DRIVEN>
int forward(const Bank& given, const Forward& job, const float* a, const float* b, const float* c) {
    using Kind = Diagonal<PARTS, DRIVEN>;
    Bank bank = Kind::complete(given);
    Column<const float> columns[MOST_COLUMNS];
    Kind::columns(columns, bank, a, b, c);
    return run_forward<Kind>(bank, job, columns);
}

template <int PARTS, bool DRIVEN>
int backward(const Bank& given, const Backward& job, const float* a, const float* b, const float* c, float* da,
             float* db, float* dc) {
    using Kind = Diagonal<PARTS, DRIVEN>;
    Bank bank = Kind::complete(given);
    Column<const float> columns[MOST_COLUMNS];
    Column<float> gradients[MOST_COLUMNS];
    Kind::columns(columns, bank, a, b, c);
    Kind::columns(gradients, bank, da, db, dc);
    return run_backward<Kind>(bank, job, columns, gradients);
}

int forward_any(size complex, const Bank& bank, const Forward& job, const float* a, const float* b, const float* c) {
    if (complex) return b ? forward<2, true>(bank, job, a, b, c) : forward<2, false>(bank, job, a, b, c);
    return b ? forward<1, true>(bank, job, a, b, c) : forward<1, false>(bank, job, a, b, c);
}

int backward_any(size complex, const Bank& bank, const Backward& job, const float* a, const float* b, const float* c,
                 float* da, float* db, float* dc) {
    if (complex)
        return b ? backward<2, true>(bank, job, a, b, c, da, db, dc) : backward<2, false>(bank, job, a, b, c, da, db, dc);
    return b ? backward<1, true>(bank, job, a, b, c, da, db, dc) : backward<1, false>(bank, job, a, b, c, da, db, dc);
}

}  // namespace

// `complex` says whether the numbers of a state are; b, d, start and checkpoints may be null. Its arguments are those of
// low_rank_forward: left and right are not looked at.
KERNEL(diagonal_forward)
(size threads, size complex, size batch, size length, size channels, size rows, size reversed, const float* u,
 const float* start, const float* a, const float* b, const float* c, const float* d, const float*, const float*,
 float* y, float* after, float* checkpoints) {
    Bank bank = {batch, length, channels, rows, 0, 0, 0, 0, u, d, reversed};
    return forward_any(complex, bank, {threads, {}, start, y, after, checkpoints}, a, b, c);
}

// Gradients dy, dafter of what came out -> those of what went in; db and dd are not written where b and d are null.
KERNEL(diagonal_backward)
(size threads, size complex, size batch, size length, size channels, size rows, size reversed, const float* u,
 const float* a, const float* b, const float* c, const float* d, const float*, const float*, const float* checkpoints,
 const float* dy, const float* dafter, float* du, float* dstart, float* da, float* db, float* dc, float* dd, float*,
 float*) {
    Bank bank = {batch, length, channels, rows, 0, 0, 0, 0, u, d, reversed};
    Backward job = {threads, {}, checkpoints, dy, dafter, du, dstart, d ? dd : nullptr, {}};
    return backward_any(complex, bank, job, a, b, c, da, db, dc);
}

// The same behind a filter: `gate` is its number, 0 for none, and there are 1 to 8 taps w; before and bias may be null.
KERNEL(gated_diagonal_forward)
(size threads, size complex, size batch, size length, size channels, size rows, size gate, size taps, const float* u,
 const float* before, const float* w, const float* bias, const float* start, const float* a, const float* b,
 const float* c, const float* d, const float*, const float*, float* y, float* after, float* checkpoints) {
    Bank bank = {batch, length, channels, rows, 0, 0, 0, 0, u, d};
    Filter front = filter_of(gate, batch, length, channels, taps, u, before, w, bias);
    return forward_any(complex, bank, {threads, front, start, y, after, checkpoints}, a, b, c);
}

// Gradients of what is null are not written.
KERNEL(gated_diagonal_backward)
(size threads, size complex, size batch, size length, size channels, size rows, size gate, size taps, const float* u,
 const float* before, const float* w, const float* bias, const float* a, const float* b, const float* c, const float* d,
 const float*, const float*, const float* checkpoints, const float* dy, const float* dafter, float* du, float* dbefore,
 float* dw, float* dbias, float* dstart, float* da, float* db, float* dc, float* dd, float*, float*) {
    Bank bank = {batch, length, channels, rows, 0, 0, 0, 0, u, d};
    Filter front = filter_of(gate, batch, length, channels, taps, u, before, w, bias);
    FilterGradients dfront = {before ? dbefore : nullptr, dw, bias ? dbias : nullptr};
    Backward job = {threads, front, checkpoints, dy, dafter, du, dstart, d ? dd : nullptr, dfront};
    return backward_any(complex, bank, job, a, b, c, da, db, dc);
}
