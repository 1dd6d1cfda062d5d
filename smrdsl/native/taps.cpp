// A short convolution of each channel and its gate (`filter.h`) by itself, forward and backward.
//
// The cost is that of reading and writing streams: spans are short, so that streams are read nearly as they lie.
#include "filter.h"

namespace {

enum { SPAN = 16 };

int run_forward(const Filter& filter, int threads, float* y) {
    const Bank& bank = filter.bank;
    Scratch w(bank.blocks() * bank.states);
    if (!w.at) return 1;
    pack(filter, w.at);
    Jobs jobs(bank, threads);
    FOR_THREADS(threads) for (size i = 0; i < jobs.count; i++) {
        Flushing flushing;
        lanes window[SPAN + MOST_TAPS - 1], to[SPAN];
        for (size first = 0, b = jobs.sequence(i); first < bank.length; first += SPAN)
            for (size k = jobs.first(i); k < jobs.last(i); k++) {
                size times = least(SPAN, bank.length - first);
                filter_span(filter, w.at, b, first, times, k, window, to);
                store_tile(bank, to, times, bank.count(k), y + filter.place(b, first, k));
            }
    }
    return 0;
}

int run_backward(const Filter& filter, int threads, const float* dy, float* dx,
                 const FilterGradients& results) {
    const Bank& bank = filter.bank;
    Scratch w(bank.blocks() * bank.states);
    Sums sums(bank);
    if (!w.at || !sums.own.at) return 1;
    pack(filter, w.at);
    Jobs jobs(bank, threads);
    FOR_THREADS(threads) for (size i = 0; i < jobs.count; i++) {
        Flushing flushing;
        Slopes slopes;
        lanes window[SPAN + MOST_TAPS - 1], grads[SPAN + MOST_TAPS - 1], to[SPAN];
        size b = jobs.sequence(i), spans = (bank.length + SPAN - 1) / SPAN;
        for (size first = (spans - 1) * SPAN; first >= 0; first -= SPAN)
            for (size k = jobs.first(i); k < jobs.last(i); k++) {
                size times = least(SPAN, bank.length - first);
                load_window(filter, b, first, times, k, window);
                if (filter.gate) pass(filter, w.at, window, times, k, slopes, to);
                load_tile(bank, dy + filter.place(b, first, k), times, bank.count(k), grads);
                return_span(filter, w.at, window, slopes.open, slopes.steep, grads, sums, b, times, k, to);
                store_tile(bank, to, times, bank.count(k), dx + filter.place(b, first, k));
            }
        for (size k = jobs.first(i); results.start && k < jobs.last(i); k++)
            return_start(filter, w.at, sums, b, k, results.start);
    }
    unpack(filter, sums, results);
    return 0;
}

}  // namespace

// `gate` is its number, and there are 1 to 8 taps; start and bias may be null.
KERNEL(taps_forward)
(size threads, size gate, size batch, size length, size channels, size taps, const float* x, const float* start,
 const float* w, const float* bias, float* y) {
    return run_forward(filter_of(gate, batch, length, channels, taps, x, start, w, bias), (int)threads, y);
}

// The gradient dy of what came out -> those of what went in; dstart and dbias are null where start and bias are.
KERNEL(taps_backward)
(size threads, size gate, size batch, size length, size channels, size taps, const float* x, const float* start,
 const float* w, const float* bias, const float* dy, float* dx, float* dstart, float* dw, float* dbias) {
    Filter filter = filter_of(gate, batch, length, channels, taps, x, start, w, bias);
    return run_backward(filter, (int)threads, dy, dx, {dstart, dw, dbias});
}
