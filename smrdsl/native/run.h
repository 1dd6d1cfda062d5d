// A bank through all tiles, forward and backward. A `Kind` says what becomes of one block in one tile.
//
// There may be a filter in front: the bank's input is then what a filter makes of u, a tile at a time, and never lies in
// memory. It sees the past, so that time does not run backwards there.
#pragma once

#include "filter.h"

namespace {

struct Forward {
    size threads;
    Filter front;  // its taps are null where there is none
    const float* start;  // or null for zeros
    float *y, *after, *checkpoints;  // checkpoints or null
};

struct Backward {
    size threads;
    Filter front;
    const float *checkpoints, *dy, *dafter;
    float *du, *dstart, *dd;
    FilterGradients dfront;
};

// The skip of a block, zeros where there is none.
inline lanes skip(const Bank& bank, size block) {
    return bank.d ? load_some(bank.d + block * LANES, bank.count(block)) : lanes{};
}

template <class Kind>
void forward_job(const Bank& bank, const Forward& job, const lanes* p, const lanes* w, size b, size first, size last,
                 lanes* work) {
    Flushing flushing;
    lanes window[WINDOW];
    size n = bank.numbers(), state = bank.channels * bank.rows;
    lanes *u = work, *y = u + TILE, *x = y + TILE, *space = x + (last - first) * n;
    for (size k = first; k < last; k++)
        load_state(bank, job.start ? job.start + b * state : nullptr, k, x + (k - first) * n);
    for (size tile = 0; tile < bank.tiles(); tile++)
        for (size k = first; k < last; k++) {
            size times = bank.times(tile), at = place(bank, b, tile, k);
            lanes *own = x + (k - first) * n, d = skip(bank, k);
            if (job.checkpoints) store_checkpoint(bank, own, b, tile, k, job.checkpoints);
            if (job.front.taps)
                filter_span(job.front, w, b, tile * TILE, times, k, window, u);
            else
                load_tile(bank, bank.u + at, times, bank.count(k), u);
            for (size t = 0; t < times; t++) y[t] = bank.d ? d * u[t] : d;
            Kind::forward_tile(bank, p + k * bank.places * bank.columns, own, u, y, space, times, bank.gaps_of(b, tile));
            store_tile(bank, y, times, bank.count(k), job.y + at);
        }
    for (size k = first; k < last; k++) store_state(bank, x + (k - first) * n, k, job.after + b * state);
}

template <class Kind>
int run_forward(const Bank& bank, const Forward& job, const Column<const float>* columns) {
    Scratch p(bank.blocks() * bank.places * bank.columns), w(bank.blocks() * job.front.bank.states);
    if (!p.at || !w.at) return 1;
    int failed = 0, threads = (int)job.threads;
    pack(bank, columns, p.at, threads);
    pack(job.front, w.at);
    Jobs jobs(bank, threads);
    FOR_THREADS(threads) for (size i = 0; i < jobs.count; i++) {
        size first = jobs.first(i), last = jobs.last(i);
        Scratch work(2 * TILE + (last - first) * bank.numbers() + Kind::work(bank));
        if (work.at)
            forward_job<Kind>(bank, job, p.at, w.at, jobs.sequence(i), first, last, work.at);
        else
            failed = 1;
    }
    return failed;
}

// The parameters as vectors, and the sums of their gradients.
struct Learned {
    const lanes *p, *w;
    lanes *sums, *skips;  // of a sequence
    const Sums& front;
};

template <class Kind>
void backward_job(const Bank& bank, const Backward& job, const Learned& own, size b, size first, size last,
                  lanes* work) {
    Flushing flushing;
    Slopes slopes;
    lanes window[WINDOW], dx[TILE];
    size n = bank.numbers(), state = bank.channels * bank.rows, block = bank.places * bank.columns;
    lanes *u = work, *dy = u + TILE, *du = dy + TILE, *x = du + WINDOW, *g = x + n, *space = g + (last - first) * n;
    memset(own.sums + first * block, 0, sizeof(lanes) * (last - first) * block);
    memset(own.skips + first, 0, sizeof(lanes) * (last - first));
    for (size k = first; k < last; k++) load_state(bank, job.dafter + b * state, k, g + (k - first) * n);
    for (size tile = bank.tiles() - 1; tile >= 0; tile--)
        for (size k = first; k < last; k++) {
            size times = bank.times(tile), at = place(bank, b, tile, k), count = bank.count(k);
            load_checkpoint(bank, job.checkpoints, b, tile, k, x);
            if (job.front.taps) {
                load_window(job.front, b, tile * TILE, times, k, window);
                pass(job.front, own.w, window, times, k, slopes, u);
            } else {
                load_tile(bank, bank.u + at, times, count, u);
            }
            load_tile(bank, job.dy + at, times, count, dy);
            lanes d = skip(bank, k), sum = {};
            for (size t = 0; t < times; t++) {
                du[t] = bank.d ? d * dy[t] : d;
                sum += u[t] * dy[t];
            }
            own.skips[k] += sum;
            Kind::backward_tile(bank, own.p + k * block, x, g + (k - first) * n, own.sums + k * block, u, dy, du, space,
                                times, bank.gaps_of(b, tile));
            if (job.front.taps) {
                return_span(job.front, own.w, window, slopes.open, slopes.steep, du, own.front, b, times, k, dx);
                store_tile(bank, dx, times, count, job.du + at);
            } else {
                store_tile(bank, du, times, count, job.du + at);
            }
        }
    for (size k = first; job.dfront.start && k < last; k++)
        return_start(job.front, own.w, own.front, b, k, job.dfront.start);
    for (size k = first; k < last; k++) store_state(bank, g + (k - first) * n, k, job.dstart + b * state);
}

template <class Kind>
int run_backward(const Bank& bank, const Backward& job, const Column<const float>* columns,
                 const Column<float>* gradients) {
    size all = bank.blocks() * bank.places * bank.columns, blocks = bank.blocks();
    Scratch p(all), sums(bank.batch * all), skips(bank.batch * blocks), w(blocks * job.front.bank.states);
    Sums front(job.front.bank);
    if (!p.at || !sums.at || !skips.at || !w.at || !front.own.at) return 1;
    int failed = 0, threads = (int)job.threads;
    pack(bank, columns, p.at, threads);
    pack(job.front, w.at);
    Jobs jobs(bank, threads);
    FOR_THREADS(threads) for (size i = 0; i < jobs.count; i++) {
        size b = jobs.sequence(i), first = jobs.first(i), last = jobs.last(i);
        Learned own = {p.at, w.at, sums.at + b * all, skips.at + b * blocks, front};
        Scratch work(2 * TILE + WINDOW + (1 + last - first) * bank.numbers() + Kind::work(bank));
        if (work.at)
            backward_job<Kind>(bank, job, own, b, first, last, work.at);
        else
            failed = 1;
    }
    if (failed) return 1;
    unpack(bank, sums.at, gradients, threads);
    if (job.front.taps) unpack(job.front, front, job.dfront);
    for (size k = 0; job.dd && k < blocks; k++) {
        lanes sum = {};
        for (size b = 0; b < bank.batch; b++) sum += skips.at[b * blocks + k];
        store_some(job.dd + k * LANES, sum, bank.count(k));
    }
    return 0;
}

}  // namespace
