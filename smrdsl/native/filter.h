// A short convolution of each channel by itself, over its last inputs, and what a gate makes of it; both ways.
//
//     p_t = bias + sum_{k < taps} w_k x_{t - taps + 1 + k}        y_t = p_t, or x_t gate(p_t), or act(p_t)
//
// Here is what becomes of one block in one span of times, up to a tile. It stands by itself (`taps.cpp`), behind another
// (`pair.cpp`) or in front of a bank (`run.h`), which then reads y as it is made. The inputs before the first are
// (batch, taps - 1, channels), w is (channels, taps) and bias (channels). There are no checkpoints: a window of inputs
// is all that there is to remember.
#pragma once

#include "bank.h"
#include "functions.h"

namespace {

enum { MOST_TAPS = 8, WINDOW = TILE + MOST_TAPS - 1 };
enum { NONE, SIGMOID2, TANH1, SIGMOID, TANH, SILU, IDENTITY, ACT_SILU };

struct Filter {
    Bank bank;  // its u is x, its d the bias; a state is a channel's w
    const float* start;  // the inputs before, or null for zeros
    size gate;
    const float* taps;

    size past() const { return bank.states - 1; }
    size place(size b, size first, size block) const {
        return (b * bank.length + first) * bank.channels + block * LANES;
    }
};

inline Filter filter_of(size gate, size batch, size length, size channels, size taps, const float* x,
                        const float* start, const float* w, const float* bias) {
    Filter filter = {};
    filter.start = start, filter.gate = gate, filter.taps = w;
    Bank& bank = filter.bank;
    bank.batch = batch, bank.length = length, bank.channels = channels;
    bank.rows = bank.states = bank.places = taps;
    bank.parts = bank.columns = 1;
    bank.u = x, bank.d = bias;
    return filter;
}

// All taps as vectors: (blocks, taps).
inline void pack(const Filter& filter, lanes* to) {
    Column<const float> column = {filter.taps, filter.bank.states};
    pack(filter.bank, &column, to);
}

template <int NUMBER>
struct Constant {
    static constexpr int number = NUMBER;
};

// `work` with what is known only now as a constant; none without a gate.
template <class Work>
void with_taps(const Filter& filter, Work work) {
    switch (filter.bank.states) {
        case 1: return work(Constant<1>());
        case 2: return work(Constant<2>());
        case 3: return work(Constant<3>());
        case 4: return work(Constant<4>());
        case 5: return work(Constant<5>());
        case 6: return work(Constant<6>());
        case 7: return work(Constant<7>());
        default: return work(Constant<MOST_TAPS>());
    }
}

template <class Work>
void with_gate(const Filter& filter, Work work) {
    switch (filter.gate) {
        case NONE: return;
        case SIGMOID2: return work(Constant<SIGMOID2>());
        case TANH1: return work(Constant<TANH1>());
        case SIGMOID: return work(Constant<SIGMOID>());
        case TANH: return work(Constant<TANH>());
        case SILU: return work(Constant<SILU>());
        case ACT_SILU: return work(Constant<ACT_SILU>());
        default: return work(Constant<IDENTITY>());
    }
}

// Whether y is the gate's value itself.
constexpr bool alone(int gate) { return gate == ACT_SILU; }

// The gate's value, and its slope.
template <int GATE>
inline lanes gate(lanes p, lanes* slope) {
    if constexpr (GATE == SIGMOID || GATE == SIGMOID2 || GATE == TANH1) {
        // 1 + tanh(p) is 2 sigmoid(2 p), which does not lose what a sum would.
        const float inside = GATE == TANH1 ? 2.0f : 1.0f, outside = GATE == SIGMOID ? 1.0f : 2.0f;
        lanes open = sigmoid(inside * p, slope);
        *slope *= inside * outside;
        return outside * open;
    } else if constexpr (GATE == TANH) {
        return tangent(p, slope);
    } else if constexpr (GATE == SILU || GATE == ACT_SILU) {
        lanes open = sigmoid(p, slope);
        *slope = open + p * *slope;
        return p * open;
    } else {
        *slope = all(1.0f);
        return p;
    }
}

// A row of x, or of what was before it.
inline lanes input(const Filter& filter, size b, size t, size block) {
    const Bank& bank = filter.bank;
    size count = bank.count(block), first = block * LANES;
    if (t >= 0) return load_some(bank.u + (b * bank.length + t) * bank.channels + first, count);
    if (!filter.start) return lanes{};
    return load_some(filter.start + ((b + 1) * filter.past() + t) * bank.channels + first, count);
}

// The inputs from a time on, behind those that are still to be remembered.
APART inline void load_window(const Filter& filter, size b, size first, size times, size block, lanes* to) {
    const Bank& bank = filter.bank;
    size past = filter.past();
    for (size i = 0; i < past; i++) to[i] = input(filter, b, first - past + i, block);
    load_tile(bank, bank.u + filter.place(b, first, block), times, bank.count(block), to + past);
}

// To p the convolution of x with w.
template <int TAPS>
void convolve(const lanes* weights, const lanes* x, lanes* p, size times) {
    lanes w[TAPS];
    memcpy(w, weights, sizeof w);
    for (size t = 0; t < times; t++) {
        lanes sum = p[t];
        UNROLLED for (int k = 0; k < TAPS; k++) sum += w[k] * x[t + k];
        p[t] = sum;
    }
}

// To the gradients of w what the gradients dp add.
template <int TAPS>
void correlate(const lanes* x, const lanes* dp, lanes* sums, size times) {
    lanes sum[TAPS] = {};
    for (size t = 0; t < times; t++) {
        lanes grad = dp[t];
        UNROLLED for (int k = 0; k < TAPS; k++) sum[k] += grad * x[t + k];
    }
    for (int k = 0; k < TAPS; k++) sums[k] += sum[k];
}

// p of a span, from its window; w are all taps as vectors.
inline void respond(const Filter& filter, const lanes* w, const lanes* window, size block, lanes* p, size times) {
    const Bank& bank = filter.bank;
    lanes bias = bank.d ? load_some(bank.d + block * LANES, bank.count(block)) : lanes{};
    for (size t = 0; t < times; t++) p[t] = bias;
    with_taps(filter, [&](auto taps) {
        convolve<decltype(taps)::number>(w + block * bank.states, window, p, times);
    });
}

// y of a span, from its window.
APART inline void answer(const Filter& filter, const lanes* w, const lanes* window, size times, size block, lanes* y) {
    const lanes* x = window + filter.past();
    respond(filter, w, window, block, y, times);
    with_gate(filter, [&](auto kind) {
        constexpr int number = decltype(kind)::number;
        lanes slope;
        for (size t = 0; t < times; t++) {
            lanes open = gate<number>(y[t], &slope);
            y[t] = alone(number) ? open : x[t] * open;
        }
    });
}

// y of a span; `window` is for its inputs.
inline void filter_span(const Filter& filter, const lanes* w, size b, size first, size times, size block, lanes* window,
                        lanes* y) {
    load_window(filter, b, first, times, block, window);
    answer(filter, w, window, times, block, y);
}

// What a span leaves for the way back: dy/dx where x stands by itself, and dy/dp. Without a gate neither is needed.
struct Slopes {
    lanes open[TILE], steep[TILE];
};

// The same, and y, from the window of a span.
APART inline void pass(const Filter& filter, const lanes* w, const lanes* window, size times, size block, Slopes& to,
                       lanes* y) {
    const lanes* x = window + filter.past();
    lanes* p = filter.gate ? to.open : y;
    respond(filter, w, window, block, p, times);
    with_gate(filter, [&](auto kind) {
        constexpr int number = decltype(kind)::number;
        for (size t = 0; t < times; t++) {
            lanes slope, open = gate<number>(p[t], &slope);
            to.open[t] = alone(number) ? lanes{} : open;
            to.steep[t] = alone(number) ? slope : x[t] * slope;
            y[t] = alone(number) ? open : x[t] * open;
        }
    });
}

// Gradients of a filter while they are summed: for every sequence and block those of w and of the bias, and those of p
// at the first `past` times after the span where the way back stands.
struct Sums {
    size all, n;
    Scratch own;
    explicit Sums(const Bank& bank) : all(bank.batch * bank.blocks()), n(bank.states), own(all * (2 * n + 1)) {
        if (own.at) memset(own.at, 0, sizeof(lanes) * all * (2 * n + 1));
    }
    lanes* taps(size at) const { return own.at + at * n; }
    lanes* later(size at) const { return own.at + (all + at) * n; }
    lanes* bias(size at) const { return own.at + 2 * all * n + at; }
};

// The way back through a span: to dx from dy, which has room for `past` more and is not kept.
APART inline void return_span(const Filter& filter, const lanes* w, const lanes* window, const lanes* open,
                              const lanes* steep, lanes* dy, const Sums& sums, size b, size times, size block,
                              lanes* dx) {
    size past = filter.past(), own = b * filter.bank.blocks() + block;
    lanes turned[MOST_TAPS], sum = {}, *later = sums.later(own);
    for (size t = 0; t < times; t++) {
        dx[t] = filter.gate ? dy[t] * open[t] : lanes{};
        if (filter.gate) dy[t] *= steep[t];
        sum += dy[t];
    }
    *sums.bias(own) += sum;
    memcpy(dy + times, later, sizeof(lanes) * past);
    for (size k = 0; k <= past; k++) turned[k] = w[block * filter.bank.states + past - k];
    with_taps(filter, [&](auto taps) {
        correlate<decltype(taps)::number>(window, dy, sums.taps(own), times);
        convolve<decltype(taps)::number>(turned, dy, dx, times);
    });
    memcpy(later, dy, sizeof(lanes) * past);
}

struct FilterGradients {
    float *start, *taps, *bias;  // the first and the last or null
};

// The gradients of the inputs before, from those of p at the first times.
inline void return_start(const Filter& filter, const lanes* w, const Sums& sums, size b, size block, float* to) {
    const Bank& bank = filter.bank;
    const lanes* first = sums.later(b * bank.blocks() + block);
    for (size i = 0; i < filter.past(); i++) {
        lanes sum = {};
        for (size t = 0; t <= i; t++) sum += w[block * bank.states + i - t] * first[t];
        store_some(to + (b * filter.past() + i) * bank.channels + block * LANES, sum, bank.count(block));
    }
}

// The sums over the batch, into their arrays.
inline void unpack(const Filter& filter, const Sums& sums, const FilterGradients& to) {
    const Bank& bank = filter.bank;
    Column<float> column = {to.taps, bank.states};
    unpack(bank, sums.taps(0), &column);
    for (size k = 0; to.bias && k < bank.blocks(); k++) {
        lanes sum = {};
        for (size b = 0; b < bank.batch; b++) sum += *sums.bias(b * bank.blocks() + k);
        store_some(to.bias + k * LANES, sum, bank.count(k));
    }
}

}  // namespace
