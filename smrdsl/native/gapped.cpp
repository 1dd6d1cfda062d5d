// A bank of systems with a complex diagonal A whose samples lie at gaps: forward and backward.
//
//     x_t = a(g_t) x_{t-1} + f(g_t) w u_t        without f where gaps are for the decay alone
//
//     zero-order hold    a(g) = e^{gz}                     f(g) = e^{gz} - 1
//     bilinear           a(g) = (1 + gz/2) / (1 - gz/2)    f(g) = g / (1 - gz/2)
//
// The gaps g (batch, length) are shared by the channels; z, w and c are (channels, N), real parts before the imaginary
// ones. It has the tiles, checkpoints and order of sums of `bank.h`. Backward, what was sampled is kept for a tile.
#include "bank.h"
#include "functions.h"

namespace {

enum { Z = 0, C = 2, W = 4, COLUMNS = 6 };

struct Complex {
    lanes re, im;
};

inline Complex times(Complex a, Complex b) { return {a.re * b.re - a.im * b.im, a.re * b.im + a.im * b.re}; }

// conj(a) b
inline Complex turned_back(Complex a, Complex b) { return {a.re * b.re + a.im * b.im, a.re * b.im - a.im * b.re}; }

inline Complex scaled(Complex a, float s) { return {a.re * s, a.im * s}; }

inline Complex at(const lanes* q, int column) { return {q[column], q[column + 1]}; }

inline void add(lanes* to, Complex a) {
    to[0] += a.re;
    to[1] += a.im;
}

// What a sample after a gap does to a state, and what weighs the sample.
struct Sampled {
    Complex a, f;
};

struct Hold {
    static inline Sampled at(Complex z, float gap) {
        lanes sine, cosine, grown = less_one(z.re * gap);
        half_turn(z.im * gap, &sine, &cosine);
        lanes twice = 2.0f * sine * sine, down = 1.0f - twice, whole = grown + 1.0f, im = 2.0f * whole * sine * cosine;
        return {{whole * down, im}, {grown * down - twice, im}};
    }

    // From gradients of a and f to that of z.
    static inline Complex back(const Sampled& s, Complex da, Complex df, float gap) {
        return scaled(turned_back(s.a, {da.re + df.re, da.im + df.im}), gap);
    }
};

struct Bilinear {
    static inline Sampled at(Complex z, float gap) {
        Complex v = scaled(z, 0.5f * gap), under = {1.0f - v.re, v.im};
        lanes part = 1.0f / (under.re * under.re + under.im * under.im);
        Complex i = {under.re * part, under.im * part};
        return {{2.0f * i.re - 1.0f, 2.0f * i.im}, scaled(i, gap)};
    }

    static inline Complex back(const Sampled& s, Complex da, Complex df, float gap) {
        Complex i = {0.5f * (s.a.re + 1.0f), 0.5f * s.a.im}, both = {da.re + 0.5f * gap * df.re, da.im + 0.5f * gap * df.im};
        return scaled(turned_back(times(i, i), both), gap);
    }
};

template <class Rule, bool DECAY>
struct Gapped {
    static inline Complex weight(const lanes* q, const Sampled& s) { return DECAY ? at(q, W) : times(s.f, at(q, W)); }

    static inline Complex move(const Sampled& s, Complex w, Complex x, lanes u) {
        Complex next = times(s.a, x);
        return {next.re + w.re * u, next.im + w.im * u};
    }

    // A state through a tile; y is added to.
    static void advance(const lanes* q, lanes* state, const lanes* u, const float* gaps, lanes* y, size count) {
        Complex x = at(state, 0), z = at(q, Z), c = at(q, C);
        for (size t = 0; t < count; t++) {
            Sampled s = Rule::at(z, gaps[t]);
            x = move(s, weight(q, s), x, u[t]);
            y[t] += c.re * x.re + c.im * x.im;
        }
        state[0] = x.re;
        state[1] = x.im;
    }

    // The same backwards, from the state before the tile and the gradient g of that after it; du and the sums of the
    // parameters' gradients are added to.
    static void retreat(const lanes* q, const lanes* state, lanes* gradient, lanes* sums, const lanes* u,
                        const lanes* dy, const float* gaps, lanes* du, lanes* work, size count) {
        Sampled* path = (Sampled*)work;
        Complex *states = (Complex*)(path + TILE), z = at(q, Z), c = at(q, C), g = at(gradient, 0);
        states[0] = at(state, 0);
        for (size t = 0; t < count; t++) {
            path[t] = Rule::at(z, gaps[t]);
            states[t + 1] = move(path[t], weight(q, path[t]), states[t], u[t]);
        }
        for (size t = count - 1; t >= 0; t--) {
            const Sampled& s = path[t];
            Complex now = states[t + 1], h = {g.re + dy[t] * c.re, g.im + dy[t] * c.im};
            Complex w = weight(q, s), in = {u[t] * h.re, u[t] * h.im}, da = turned_back(states[t], h);
            add(sums + C, {dy[t] * now.re, dy[t] * now.im});
            du[t] += w.re * h.re + w.im * h.im;
            add(sums + W, DECAY ? in : turned_back(s.f, in));
            add(sums + Z, Rule::back(s, da, DECAY ? Complex{} : turned_back(at(q, W), in), gaps[t]));
            g = turned_back(s.a, h);
        }
        gradient[0] = g.re;
        gradient[1] = g.im;
    }

    static void forward_tile(const Bank& bank, const lanes* p, lanes* x, const lanes* u, lanes* y, lanes*, size count,
                             const float* gaps) {
        for (size n = 0; n < bank.states; n++) advance(p + n * COLUMNS, x + 2 * n, u, gaps, y, count);
    }

    static void backward_tile(const Bank& bank, const lanes* p, const lanes* x, lanes* g, lanes* sums, const lanes* u,
                              const lanes* dy, lanes* du, lanes* work, size count, const float* gaps) {
        for (size n = 0; n < bank.states; n++)
            retreat(p + n * COLUMNS, x + 2 * n, g + 2 * n, sums + n * COLUMNS, u, dy, gaps, du, work, count);
    }

    // Vectors that a tile needs to work in, backwards.
    static size work(const Bank&) { return TILE * 4 + (TILE + 1) * 2; }
};

}  // namespace

#include "run.h"

namespace {

Bank bank_of(size batch, size length, size channels, size rows, const float* u, const float* d, const float* gaps) {
    Bank bank = {batch, length, channels, rows, 2, rows / 2, rows / 2, COLUMNS, u, d};
    bank.gaps = gaps;
    return bank;
}

template <class Number>
void columns_of(Column<Number>* to, const Bank& bank, Number* z, Number* w, Number* c) {
    add_columns(to, bank, z);
    add_columns(to, bank, c);
    add_columns(to, bank, w);
}

template <class Rule, bool DECAY>
int forward(const Bank& bank, const Forward& job, const float* z, const float* w, const float* c) {
    Column<const float> columns[COLUMNS];
    columns_of(columns, bank, z, w, c);
    return run_forward<Gapped<Rule, DECAY>>(bank, job, columns);
}

template <class Rule, bool DECAY>
int backward(const Bank& bank, const Backward& job, const float* z, const float* w, const float* c, float* dz, float* dw,
             float* dc) {
    Column<const float> columns[COLUMNS];
    Column<float> gradients[COLUMNS];
    columns_of(columns, bank, z, w, c);
    columns_of(gradients, bank, dz, dw, dc);
    return run_backward<Gapped<Rule, DECAY>>(bank, job, columns, gradients);
}

}  // namespace

// `bilinear` and `decay` say which rule; d, start and checkpoints may be null.
KERNEL(gapped_forward)
(size threads, size bilinear, size decay, size batch, size length, size channels, size rows, const float* u,
 const float* start, const float* gaps, const float* z, const float* w, const float* c, const float* d, float* y,
 float* after, float* checkpoints) {
    Bank bank = bank_of(batch, length, channels, rows, u, d, gaps);
    Forward job = {threads, {}, start, y, after, checkpoints};
    if (bilinear)
        return decay ? forward<Bilinear, true>(bank, job, z, w, c) : forward<Bilinear, false>(bank, job, z, w, c);
    return decay ? forward<Hold, true>(bank, job, z, w, c) : forward<Hold, false>(bank, job, z, w, c);
}

// Gradients dy, dafter of what came out -> those of what went in; dd is not written where d is null.
KERNEL(gapped_backward)
(size threads, size bilinear, size decay, size batch, size length, size channels, size rows, const float* u,
 const float* gaps, const float* z, const float* w, const float* c, const float* d, const float* checkpoints,
 const float* dy, const float* dafter, float* du, float* dstart, float* dz, float* dw, float* dc, float* dd) {
    Bank bank = bank_of(batch, length, channels, rows, u, d, gaps);
    Backward job = {threads, {}, checkpoints, dy, dafter, du, dstart, d ? dd : nullptr, {}};
    if (bilinear)
        return decay ? backward<Bilinear, true>(bank, job, z, w, c, dz, dw, dc)
                     : backward<Bilinear, false>(bank, job, z, w, c, dz, dw, dc);
    return decay ? backward<Hold, true>(bank, job, z, w, c, dz, dw, dc)
                 : backward<Hold, false>(bank, job, z, w, c, dz, dw, dc);
}
