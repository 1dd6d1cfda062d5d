// A bank through all tiles, forward and backward. A `Kind` says what becomes of one block in one tile.
#pragma once

#include "bank.h"

namespace {

struct Forward {
    size threads;
    const float* start;  // or null for zeros
    float *y, *after, *checkpoints;  // checkpoints or null
};

struct Backward {
    size threads;
    const float *checkpoints, *dy, *dafter;
    float *du, *dstart, *dd;
};

// The skip of a block, zeros where there is none.
inline lanes skip(const Bank& bank, size block) {
    return bank.d ? load_some(bank.d + block * LANES, bank.count(block)) : lanes{};
}

template <class Kind>
void forward_job(const Bank& bank, const Forward& job, const lanes* p, size b, size first, size last, lanes* work) {
    Flushing flushing;
    size n = bank.numbers(), state = bank.channels * bank.rows;
    lanes *u = work, *y = u + TILE, *x = y + TILE, *space = x + (last - first) * n;
    for (size k = first; k < last; k++)
        load_state(bank, job.start ? job.start + b * state : nullptr, k, x + (k - first) * n);
    for (size tile = 0; tile < bank.tiles(); tile++)
        for (size k = first; k < last; k++) {
            size times = bank.times(tile), at = place(bank, b, tile, k);
            lanes *own = x + (k - first) * n, d = skip(bank, k);
            if (job.checkpoints) store_checkpoint(bank, own, b, tile, k, job.checkpoints);
            load_tile(bank, bank.u + at, times, bank.count(k), u);
            for (size t = 0; t < times; t++) y[t] = bank.d ? d * u[t] : d;
            Kind::forward_tile(bank, p + k * bank.places * bank.columns, own, u, y, space, times);
            store_tile(bank, y, times, bank.count(k), job.y + at);
        }
    for (size k = first; k < last; k++) store_state(bank, x + (k - first) * n, k, job.after + b * state);
}

template <class Kind>
int run_forward(const Bank& bank, const Forward& job, const Column<const float>* columns) {
    Scratch p(bank.blocks() * bank.places * bank.columns);
    if (!p.at) return 1;
    int failed = 0, threads = (int)job.threads;
    pack(bank, columns, p.at, threads);
    Jobs jobs(bank, threads);
    FOR_THREADS(threads) for (size i = 0; i < jobs.count; i++) {
        size first = jobs.first(i), last = jobs.last(i);
        Scratch work(2 * TILE + (last - first) * bank.numbers() + Kind::work(bank));
        if (work.at)
            forward_job<Kind>(bank, job, p.at, jobs.sequence(i), first, last, work.at);
        else
            failed = 1;
    }
    return failed;
}

template <class Kind>
void backward_job(const Bank& bank, const Backward& job, const lanes* p, lanes* sums, lanes* skips, size b, size first,
                  size last, lanes* work) {
    Flushing flushing;
    size n = bank.numbers(), state = bank.channels * bank.rows, block = bank.places * bank.columns;
    lanes *u = work, *dy = u + TILE, *du = dy + TILE, *x = du + TILE, *g = x + n, *space = g + (last - first) * n;
    memset(sums + first * block, 0, sizeof(lanes) * (last - first) * block);
    memset(skips + first, 0, sizeof(lanes) * (last - first));
    for (size k = first; k < last; k++) load_state(bank, job.dafter + b * state, k, g + (k - first) * n);
    for (size tile = bank.tiles() - 1; tile >= 0; tile--)
        for (size k = first; k < last; k++) {
            size times = bank.times(tile), at = place(bank, b, tile, k), count = bank.count(k);
            load_checkpoint(bank, job.checkpoints, b, tile, k, x);
            load_tile(bank, bank.u + at, times, count, u);
            load_tile(bank, job.dy + at, times, count, dy);
            lanes d = skip(bank, k), sum = {};
            for (size t = 0; t < times; t++) {
                du[t] = bank.d ? d * dy[t] : d;
                sum += u[t] * dy[t];
            }
            skips[k] += sum;
            Kind::backward_tile(bank, p + k * block, x, g + (k - first) * n, sums + k * block, u, dy, du, space, times);
            store_tile(bank, du, times, count, job.du + at);
        }
    for (size k = first; k < last; k++) store_state(bank, g + (k - first) * n, k, job.dstart + b * state);
}

template <class Kind>
int run_backward(const Bank& bank, const Backward& job, const Column<const float>* columns,
                 const Column<float>* gradients) {
    size all = bank.blocks() * bank.places * bank.columns, blocks = bank.blocks();
    Scratch p(all), sums(bank.batch * all), skips(bank.batch * blocks);
    if (!p.at || !sums.at || !skips.at) return 1;
    int failed = 0, threads = (int)job.threads;
    pack(bank, columns, p.at, threads);
    Jobs jobs(bank, threads);
    FOR_THREADS(threads) for (size i = 0; i < jobs.count; i++) {
        size b = jobs.sequence(i), first = jobs.first(i), last = jobs.last(i);
        Scratch work(3 * TILE + (1 + last - first) * bank.numbers() + Kind::work(bank));
        if (work.at)
            backward_job<Kind>(bank, job, p.at, sums.at + b * all, skips.at + b * blocks, b, first, last, work.at);
        else
            failed = 1;
    }
    if (failed) return 1;
    unpack(bank, sums.at, gradients, threads);
    for (size k = 0; job.dd && k < blocks; k++) {
        lanes sum = {};
        for (size b = 0; b < bank.batch; b++) sum += skips.at[b * blocks + k];
        store_some(job.dd + k * LANES, sum, bank.count(k));
    }
    return 0;
}

}  // namespace
