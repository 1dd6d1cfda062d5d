// A selective scan, forward and backward: its shares of blocks through all tiles, and their sums. See `selective.h`.
#include "selective.h"

namespace {

struct Outputs {
    const float* start;  // or null for zeros
    float *y, *after, *checkpoints;  // checkpoints or null
};

void forward_share(const Scan& scan, const Outputs& to, const lanes* a, size b, size first, size last, lanes* work) {
    Flushing flushing;
    const Bank& bank = scan.bank;
    size n = bank.states, state = bank.channels * n;
    lanes *y = work, *h = y + TILE;
    Steps* in = (Steps*)(h + (last - first) * n);
    for (size k = first; k < last; k++)
        load_state(bank, to.start ? to.start + b * state : nullptr, k, h + (k - first) * n);
    for (size tile = 0; tile < bank.tiles(); tile++)
        for (size k = first; k < last; k++) {
            size times = bank.times(tile), count = bank.count(k);
            lanes *own = h + (k - first) * n, d = bank.d ? load_some(bank.d + k * LANES, count) : lanes{};
            if (to.checkpoints) store_checkpoint(bank, own, b, tile, k, to.checkpoints);
            prepare(scan, b, tile, k, in);
            for (size t = 0; t < times; t++) y[t] = bank.d ? d * in->x[t] : d;
            advance_all<FORWARD>(*in, n, 0, a + k * n, own, y, times);
            store_tile(bank, y, times, count, to.y + place(bank, b, tile, k));
        }
    for (size k = first; k < last; k++) store_state(bank, h + (k - first) * n, k, to.after + b * state);
}

struct Gradients {
    const float *checkpoints, *dy, *dafter;
    float *dx, *ddelta, *dstart, *db, *dc;  // db and dc of the first share
    float *more_db, *more_dc;               // of the others
    lanes *da, *dbias, *dd;                 // of every sequence
};

inline float total(lanes v) {
    typedef float four __attribute__((vector_size(16)));
    four parts[LANES / 4], sum = {};
    memcpy(parts, &v, sizeof v);
    for (int i = 0; i < LANES / 4; i++) sum += parts[i];
    return (sum[0] + sum[1]) + (sum[2] + sum[3]);
}

void backward_share(const Scan& scan, const Gradients& to, const lanes* a, size b, size share, lanes* work) {
    Flushing flushing;
    const Bank& bank = scan.bank;
    size n = bank.states, state = bank.channels * n, blocks = bank.blocks(), rows = bank.length * n;
    size first = share * SHARE, last = least(first + SHARE, blocks);
    float *db = share ? to.more_db + ((share - 1) * bank.batch + b) * rows : to.db + b * rows;
    float *dc = share ? to.more_dc + ((share - 1) * bank.batch + b) * rows : to.dc + b * rows;
    lanes *h = work, *g = h + n, *path = g + (last - first) * n;
    Steps* in = (Steps*)(path + (2 * TILE + 1) * BACKWARD);
    Slopes* out = (Slopes*)(in + 1);
    out->db = (lanes*)(out + 1);
    out->dc = out->db + TILE * n;
    for (size k = first; k < last; k++) load_state(bank, to.dafter + b * state, k, g + (k - first) * n);
    for (size tile = bank.tiles() - 1; tile >= 0; tile--) {
        size times = bank.times(tile);
        memset(out->db, 0, sizeof(lanes) * 2 * TILE * n);
        for (size k = first; k < last; k++) {
            size at = place(bank, b, tile, k), count = bank.count(k), own = b * blocks + k;
            load_checkpoint(bank, to.checkpoints, b, tile, k, h);
            prepare(scan, b, tile, k, in);
            load_tile(bank, to.dy + at, times, count, out->dy);
            memset(out->dv, 0, sizeof out->dv);
            memset(out->ds, 0, sizeof out->ds);
            retreat_all<BACKWARD>(*in, n, 0, a + k * n, h, g + (k - first) * n, to.da + own * n, *out, path, times);
            lanes d = bank.d ? load_some(bank.d + k * LANES, count) : lanes{};
            finish(scan, *in, *out, d, to.dbias + own, to.dd + own, times);
            store_tile(bank, out->dv, times, count, to.dx + at);
            store_tile(bank, out->ds, times, count, to.ddelta + at);
        }
        for (size i = 0; i < times * n; i++) {
            db[tile * TILE * n + i] = total(out->db[i]);
            dc[tile * TILE * n + i] = total(out->dc[i]);
        }
    }
    for (size k = first; k < last; k++) store_state(bank, g + (k - first) * n, k, to.dstart + b * state);
}

// a as vectors, times log2(e).
void pack_a(const Bank& bank, const float* a, lanes* to) {
    Column<const float> column = {a, bank.rows};
    pack(bank, &column, to);
    for (size i = 0; i < bank.blocks() * bank.states; i++) to[i] *= LOG2_E;
}

int run_forward(const Scan& scan, int threads, const float* a, const Outputs& to) {
    const Bank& bank = scan.bank;
    Scratch packed(bank.blocks() * bank.states);
    if (!packed.at) return 1;
    pack_a(bank, a, packed.at);
    size shares = scan.shares(), jobs = bank.batch * shares;
    int failed = 0;
    FOR_THREADS(threads) for (size i = 0; i < jobs; i++) {
        size first = i % shares * SHARE, last = least(first + SHARE, bank.blocks());
        Scratch work(TILE + SHARE * bank.states + sizeof(Steps) / sizeof(lanes));
        if (work.at)
            forward_share(scan, to, packed.at, i / shares, first, last, work.at);
        else
            failed = 1;
    }
    return failed;
}

// To the first share's gradients of b or c those of the others, in their order.
void add_shares(const Scan& scan, int threads, const float* more, float* to) {
    size rows = scan.bank.length * scan.bank.states, batch = scan.bank.batch, shares = scan.shares();
    FOR_THREADS(threads) for (size b = 0; b < batch; b++)
        for (size share = 1; share < shares; share++) {
            const float* from = more + ((share - 1) * batch + b) * rows;
            for (size i = 0; i < rows; i++) to[b * rows + i] += from[i];
        }
}

// Vectors of every sequence (batch, blocks), summed over the batch in its order.
void add_up(const Bank& bank, const lanes* from, float* to) {
    for (size k = 0; k < bank.blocks(); k++) {
        lanes sum = {};
        for (size b = 0; b < bank.batch; b++) sum += from[b * bank.blocks() + k];
        store_some(to + k * LANES, sum, bank.count(k));
    }
}

int run_backward(const Scan& scan, int threads, const float* a, Gradients to, float* da, float* dbias, float* dd) {
    const Bank& bank = scan.bank;
    size n = bank.states, all = bank.batch * bank.blocks(), shares = scan.shares(), jobs = bank.batch * shares;
    size more = (shares - 1) * bank.batch * bank.length * n / LANES + 1;
    Scratch packed(bank.blocks() * n), sums(all * (n + 2)), more_db(more), more_dc(more);
    if (!packed.at || !sums.at || !more_db.at || !more_dc.at) return 1;
    pack_a(bank, a, packed.at);
    memset(sums.at, 0, sizeof(lanes) * all * (n + 2));
    to.more_db = (float*)more_db.at;
    to.more_dc = (float*)more_dc.at;
    to.da = sums.at;
    to.dbias = to.da + all * n;
    to.dd = to.dbias + all;
    int failed = 0;
    FOR_THREADS(threads) for (size i = 0; i < jobs; i++) {
        Scratch work((1 + SHARE + 2 * TILE) * n + (2 * TILE + 1) * BACKWARD +
                     (sizeof(Steps) + sizeof(Slopes)) / sizeof(lanes));
        if (work.at)
            backward_share(scan, to, packed.at, i / shares, i % shares, work.at);
        else
            failed = 1;
    }
    if (failed) return 1;
    add_shares(scan, threads, to.more_db, to.db);
    add_shares(scan, threads, to.more_dc, to.dc);
    Column<float> column = {da, n};
    unpack(bank, to.da, &column);
    add_up(bank, to.dbias, dbias);
    if (bank.d) add_up(bank, to.dd, dd);
    return 0;
}

Bank bank_of(size batch, size length, size channels, size states, const float* x, const float* d) {
    Bank bank = {};
    bank.batch = batch, bank.length = length, bank.channels = channels;
    bank.rows = bank.states = bank.places = states;
    bank.parts = bank.columns = 1;
    bank.u = x, bank.d = d;
    return bank;
}

}  // namespace

// gaps, d, start and checkpoints may be null.
KERNEL(selective_forward)
(size threads, size decay, size batch, size length, size channels, size states, const float* x, const float* delta,
 const float* bias, const float* gaps, const float* a, const float* b, const float* c, const float* d,
 const float* start, float* y, float* after, float* checkpoints) {
    Scan scan = {bank_of(batch, length, channels, states, x, d), delta, bias, gaps, b, c, decay != 0};
    return run_forward(scan, (int)threads, a, {start, y, after, checkpoints});
}

// Gradients dy, dafter of what came out -> those of what went in; dd is not written where d is null.
KERNEL(selective_backward)
(size threads, size decay, size batch, size length, size channels, size states, const float* x, const float* delta,
 const float* bias, const float* gaps, const float* a, const float* b, const float* c, const float* d,
 const float* checkpoints, const float* dy, const float* dafter, float* dx, float* ddelta, float* dbias, float* da,
 float* db, float* dc, float* dd, float* dstart) {
    Scan scan = {bank_of(batch, length, channels, states, x, d), delta, bias, gaps, b, c, decay != 0};
    Gradients to = {checkpoints, dy, dafter, dx, ddelta, dstart, db, dc, nullptr, nullptr, nullptr, nullptr, nullptr};
    return run_backward(scan, (int)threads, a, to, da, dbias, dd);
}
