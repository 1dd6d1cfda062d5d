// Two short filters (`filter.h`), one behind the other, from their zero states; forward and backward.
//
// What the first makes is the second's x: it stays in the nearest cache, is not kept, and is made again on the way back.
#include "filter.h"

namespace {

enum { SPAN = 16, MOST_PAST = MOST_TAPS - 1 };

struct Pair {
    Filter one, two;
    const Bank& bank() const { return one.bank; }
};

int run_forward(const Pair& pair, int threads, float* y) {
    const Bank& bank = pair.bank();
    size past = pair.two.past();
    Scratch w(bank.blocks() * bank.states), v(bank.blocks() * (past + 1)), kept(bank.batch * bank.blocks() * past);
    if (!w.at || !v.at || !kept.at) return 1;
    pack(pair.one, w.at);
    pack(pair.two, v.at);
    memset(kept.at, 0, sizeof(lanes) * bank.batch * bank.blocks() * past);
    Jobs jobs(bank, threads);
    FOR_THREADS(threads) for (size i = 0; i < jobs.count; i++) {
        Flushing flushing;
        lanes window[SPAN + MOST_PAST], between[SPAN + MOST_PAST], to[SPAN];
        for (size first = 0, b = jobs.sequence(i); first < bank.length; first += SPAN)
            for (size k = jobs.first(i); k < jobs.last(i); k++) {
                size times = least(SPAN, bank.length - first);
                lanes* before = kept.at + (b * bank.blocks() + k) * past;
                memcpy(between, before, sizeof(lanes) * past);
                filter_span(pair.one, w.at, b, first, times, k, window, between + past);
                answer(pair.two, v.at, between, times, k, to);
                memcpy(before, between + times, sizeof(lanes) * past);
                store_tile(bank, to, times, bank.count(k), y + pair.one.place(b, first, k));
            }
    }
    return 0;
}

struct Work {
    lanes window[SPAN + 2 * MOST_PAST], between[SPAN + MOST_PAST], grads[SPAN + MOST_PAST], inner[SPAN + MOST_PAST],
        to[SPAN];
    Slopes one, two;
};

// The way back through a span; the inputs of the second filter that it still remembers are made again too.
void return_both(const Pair& pair, const lanes* w, const lanes* v, const Sums& one, const Sums& two, const float* dy,
                 float* dx, size b, size first, size times, size k, Work& at) {
    const Bank& bank = pair.bank();
    size past = pair.two.past(), again = least(past, first), place = pair.one.place(b, first, k);
    load_window(pair.one, b, first - again, again + times, k, at.window);
    memset(at.between, 0, sizeof(lanes) * (past - again));
    pass(pair.one, w, at.window, again + times, k, at.one, at.between + past - again);
    pass(pair.two, v, at.between, times, k, at.two, at.to);
    load_tile(bank, dy + place, times, bank.count(k), at.grads);
    return_span(pair.two, v, at.between, at.two.open, at.two.steep, at.grads, two, b, times, k, at.inner);
    return_span(pair.one, w, at.window + again, at.one.open + again, at.one.steep + again, at.inner, one, b, times, k,
                at.to);
    store_tile(bank, at.to, times, bank.count(k), dx + place);
}

int run_backward(const Pair& pair, int threads, const float* dy, float* dx, const FilterGradients& first,
                 const FilterGradients& second) {
    const Bank& bank = pair.bank();
    Scratch w(bank.blocks() * bank.states), v(bank.blocks() * pair.two.bank.states);
    Sums one(bank), two(pair.two.bank);
    if (!w.at || !v.at || !one.own.at || !two.own.at) return 1;
    pack(pair.one, w.at);
    pack(pair.two, v.at);
    Jobs jobs(bank, threads);
    FOR_THREADS(threads) for (size i = 0; i < jobs.count; i++) {
        Flushing flushing;
        Work work;
        size spans = (bank.length + SPAN - 1) / SPAN;
        for (size at = (spans - 1) * SPAN; at >= 0; at -= SPAN)
            for (size k = jobs.first(i); k < jobs.last(i); k++)
                return_both(pair, w.at, v.at, one, two, dy, dx, jobs.sequence(i), at, least(SPAN, bank.length - at), k,
                            work);
    }
    unpack(pair.one, one, first);
    unpack(pair.two, two, second);
    return 0;
}

}  // namespace

// Gates are their numbers, and there are 1 to 8 taps in each filter; a bias may be null.
KERNEL(pair_forward)
(size threads, size gate, size next_gate, size batch, size length, size channels, size taps, size next_taps,
 const float* x, const float* w, const float* bias, const float* next_w, const float* next_bias, float* y) {
    Pair pair = {filter_of(gate, batch, length, channels, taps, x, nullptr, w, bias),
                 filter_of(next_gate, batch, length, channels, next_taps, nullptr, nullptr, next_w, next_bias)};
    return run_forward(pair, (int)threads, y);
}

// The gradient dy of what came out -> those of what went in; those of a bias are null where it is.
KERNEL(pair_backward)
(size threads, size gate, size next_gate, size batch, size length, size channels, size taps, size next_taps,
 const float* x, const float* w, const float* bias, const float* next_w, const float* next_bias, const float* dy,
 float* dx, float* dw, float* dbias, float* next_dw, float* next_dbias) {
    Pair pair = {filter_of(gate, batch, length, channels, taps, x, nullptr, w, bias),
                 filter_of(next_gate, batch, length, channels, next_taps, nullptr, nullptr, next_w, next_bias)};
    return run_backward(pair, (int)threads, dy, dx, {nullptr, dw, dbias}, {nullptr, next_dw, next_dbias});
}
