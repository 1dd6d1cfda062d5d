// A short convolution of each channel by itself, over its last inputs, and what a gate makes of it; both ways.
//
//     p_t = bias + sum_{k < taps} w_k x_{t - taps + 1 + k}        y_t = p_t, or x_t gate(p_t)
//
// Streams are (batch, length, channels), the inputs before them (batch, taps - 1, channels), w is (channels, taps) and
// bias (channels). Blocks and the order of sums are those of `bank.h`, but tiles are short spans, so that streams are
// read nearly as they lie. There are no checkpoints: a window of inputs is all that there is to remember.
#include "bank.h"
#include "functions.h"

namespace {

enum { MOST_TAPS = 8, SPAN = 16, WINDOW = SPAN + MOST_TAPS - 1 };
enum { NONE, SIGMOID2, TANH1, SIGMOID, TANH, SILU, IDENTITY };

struct Filter {
    Bank bank;  // its u is x, its d the bias; a state is a channel's w
    const float* start;  // the inputs before, or null for zeros
    size gate;

    size past() const { return bank.states - 1; }
    size spans() const { return (bank.length + SPAN - 1) / SPAN; }
    size times(size span) const { return least(SPAN, bank.length - span * SPAN); }
    size place(size b, size span, size block) const {
        return (b * bank.length + span * SPAN) * bank.channels + block * LANES;
    }
};

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
        default: return work(Constant<IDENTITY>());
    }
}

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
    } else if constexpr (GATE == SILU) {
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

// The inputs of a span, behind those that are still to be remembered.
void load_window(const Filter& filter, size b, size span, size block, lanes* to) {
    const Bank& bank = filter.bank;
    size past = filter.past();
    for (size i = 0; i < past; i++) to[i] = input(filter, b, span * SPAN - past + i, block);
    load_tile(bank, bank.u + filter.place(b, span, block), filter.times(span), bank.count(block), to + past);
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

// p in a span, from its window.
void respond(const Filter& filter, const lanes* w, const lanes* window, size block, lanes* p, size times) {
    const Bank& bank = filter.bank;
    lanes bias = bank.d ? load_some(bank.d + block * LANES, bank.count(block)) : lanes{};
    for (size t = 0; t < times; t++) p[t] = bias;
    with_taps(filter, [&](auto taps) {
        convolve<decltype(taps)::number>(w + block * bank.states, window, p, times);
    });
}

void forward_span(const Filter& filter, const lanes* w, float* y, size b, size span, size block) {
    const Bank& bank = filter.bank;
    size times = filter.times(span);
    lanes window[WINDOW], p[SPAN], *x = window + filter.past();
    load_window(filter, b, span, block, window);
    respond(filter, w, window, block, p, times);
    with_gate(filter, [&](auto kind) {
        lanes slope;
        for (size t = 0; t < times; t++) p[t] = x[t] * gate<decltype(kind)::number>(p[t], &slope);
    });
    store_tile(bank, p, times, bank.count(block), y + filter.place(b, span, block));
}

// `later`: the gradients of p at the first `past` times after the span; it is left with those from its beginning on.
void backward_span(const Filter& filter, const lanes* w, const float* dy, float* dx, lanes* later, lanes* dw,
                   lanes* dbias, size b, size span, size block) {
    const Bank& bank = filter.bank;
    size times = filter.times(span), past = filter.past(), at = filter.place(b, span, block), count = bank.count(block);
    lanes window[WINDOW], p[SPAN], grads[WINDOW], direct[SPAN], turned[MOST_TAPS], sum = {}, *x = window + past;
    load_window(filter, b, span, block, window);
    load_tile(bank, dy + at, times, count, grads);
    memset(direct, 0, sizeof direct);
    if (filter.gate) respond(filter, w, window, block, p, times);
    with_gate(filter, [&](auto kind) {
        for (size t = 0; t < times; t++) {
            lanes slope, open = gate<decltype(kind)::number>(p[t], &slope);
            direct[t] = grads[t] * open;
            grads[t] = grads[t] * x[t] * slope;
        }
    });
    for (size t = 0; t < times; t++) sum += grads[t];
    *dbias += sum;
    memcpy(grads + times, later, sizeof(lanes) * past);
    for (size k = 0; k <= past; k++) turned[k] = w[block * bank.states + past - k];
    with_taps(filter, [&](auto taps) {
        correlate<decltype(taps)::number>(window, grads, dw, times);
        convolve<decltype(taps)::number>(turned, grads, direct, times);
    });
    memcpy(later, grads, sizeof(lanes) * past);
    store_tile(bank, direct, times, count, dx + at);
}

// The gradients of the inputs before, from those of p at the first times.
void store_start(const Filter& filter, const lanes* w, const lanes* first, size b, size block, float* to) {
    const Bank& bank = filter.bank;
    for (size i = 0; i < filter.past(); i++) {
        lanes sum = {};
        for (size t = 0; t <= i; t++) sum += w[block * bank.states + i - t] * first[t];
        store_some(to + (b * filter.past() + i) * bank.channels + block * LANES, sum, bank.count(block));
    }
}

int run_forward(const Filter& filter, int threads, const float* taps, float* y) {
    const Bank& bank = filter.bank;
    Scratch w(bank.blocks() * bank.states);
    if (!w.at) return 1;
    Column<const float> column = {taps, bank.states};
    pack(bank, &column, w.at);
    Jobs jobs(bank, threads);
    FOR_THREADS(threads) for (size i = 0; i < jobs.count; i++) {
        Flushing flushing;
        for (size span = 0; span < filter.spans(); span++)
            for (size k = jobs.first(i); k < jobs.last(i); k++)
                forward_span(filter, w.at, y, jobs.sequence(i), span, k);
    }
    return 0;
}

struct Gradients {
    float *dx, *dstart, *dtaps, *dbias;  // dstart and dbias or null
};

int run_backward(const Filter& filter, int threads, const float* taps, const float* dy, const Gradients& to) {
    const Bank& bank = filter.bank;
    size blocks = bank.blocks(), n = bank.states, all = bank.batch * blocks;
    Scratch w(blocks * n), work(all * (2 * n + 1));
    if (!w.at || !work.at) return 1;
    Column<const float> column = {taps, n};
    pack(bank, &column, w.at);
    memset(work.at, 0, sizeof(lanes) * all * (2 * n + 1));
    lanes *dw = work.at, *later = dw + all * n, *dbias = later + all * n;
    Jobs jobs(bank, threads);
    FOR_THREADS(threads) for (size i = 0; i < jobs.count; i++) {
        Flushing flushing;
        size b = jobs.sequence(i);
        for (size span = filter.spans() - 1; span >= 0; span--)
            for (size k = jobs.first(i); k < jobs.last(i); k++) {
                size own = b * blocks + k;
                backward_span(filter, w.at, dy, to.dx, later + own * n, dw + own * n, dbias + own, b, span, k);
            }
        for (size k = jobs.first(i); to.dstart && k < jobs.last(i); k++)
            store_start(filter, w.at, later + (b * blocks + k) * n, b, k, to.dstart);
    }
    Column<float> sums = {to.dtaps, n};
    unpack(bank, dw, &sums);
    for (size k = 0; to.dbias && k < blocks; k++) {
        lanes sum = {};
        for (size b = 0; b < bank.batch; b++) sum += dbias[b * blocks + k];
        store_some(to.dbias + k * LANES, sum, bank.count(k));
    }
    return 0;
}

Filter filter_of(size gate, size batch, size length, size channels, size taps, const float* x, const float* start,
                 const float* bias) {
    Filter filter = {};
    filter.start = start, filter.gate = gate;
    Bank& bank = filter.bank;
    bank.batch = batch, bank.length = length, bank.channels = channels;
    bank.rows = bank.states = bank.places = taps;
    bank.parts = bank.columns = 1;
    bank.u = x, bank.d = bias;
    return filter;
}

}  // namespace

// `gate` is its number, and there are 1 to 8 taps; start and bias may be null.
KERNEL(taps_forward)
(size threads, size gate, size batch, size length, size channels, size taps, const float* x, const float* start,
 const float* w, const float* bias, float* y) {
    return run_forward(filter_of(gate, batch, length, channels, taps, x, start, bias), (int)threads, w, y);
}

// The gradient dy of what came out -> those of what went in; dstart and dbias are null where start and bias are.
KERNEL(taps_backward)
(size threads, size gate, size batch, size length, size channels, size taps, const float* x, const float* start,
 const float* w, const float* bias, const float* dy, float* dx, float* dstart, float* dw, float* dbias) {
    Filter filter = filter_of(gate, batch, length, channels, taps, x, start, bias);
    return run_backward(filter, (int)threads, w, dy, {dx, dstart, dw, dbias});
}
