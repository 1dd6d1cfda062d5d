// A selective scan: a bank of diagonal systems whose steps, inputs and readings are new at every time; both ways.
//
//     w_t = softplus(delta_t + bias)    s_t = gap_t w_t    v_t = (s_t or w_t) x_t
//     h_t = exp(s_t a) h_{t-1} + v_t b_t    y_t = c_t . h_t + d x_t
//
// x, delta and y are (batch, length, channels), b and c (batch, length, N), shared by the channels, gaps (batch, length),
// a and a state (channels, N), bias and d (channels). Vectors lie across the channels; tiles and checkpoints are those
// of `bank.h`, and a few states run through a tile at once, in registers. Gradients of b and c are sums over channels:
// of every share of them by itself, so that their order does not depend on the number of threads.
#pragma once

#include "bank.h"
#include "functions.h"

namespace {

enum { SHARE = 8, FORWARD = 4, BACKWARD = 2 };  // blocks in a share; states at once

struct Scan {
    Bank bank;  // its u is x
    const float *delta, *bias, *gaps, *b, *c;
    bool decay;  // whether gaps are for the decay alone

    size shares() const { return (bank.blocks() + SHARE - 1) / SHARE; }
};

// A block in a tile: at every time x, the step of the state, the weight of x, and both together; softplus' slope.
struct Steps {
    lanes x[TILE], s[TILE], weight[TILE], v[TILE], slope[TILE];
    const float *gaps, *b, *c;  // null, or those of the tile
};

void prepare(const Scan& scan, size b, size tile, size block, Steps* to) {
    const Bank& bank = scan.bank;
    size at = place(bank, b, tile, block), count = bank.count(block), first = b * bank.length + tile * TILE;
    to->gaps = scan.gaps ? scan.gaps + first : nullptr;
    to->b = scan.b + first * bank.states;
    to->c = scan.c + first * bank.states;
    load_tile(bank, bank.u + at, bank.times(tile), count, to->x);
    load_tile(bank, scan.delta + at, bank.times(tile), count, to->weight);
    lanes bias = load_some(scan.bias + block * LANES, count);
    marks live;
    for (int j = 0; j < LANES; j++) live[j] = j < count ? -1 : 0;
    for (size t = 0; t < bank.times(tile); t++) {
        lanes w = softplus(to->weight[t] + bias, &to->slope[t]), s = to->gaps ? w * to->gaps[t] : w;
        // Nothing may come of an infinite step where there is no channel; elsewhere a huge one is as good.
        to->s[t] = live ? at_most(at_least(s, -1e10f), 1e10f) : lanes{};
        to->weight[t] = live ? (scan.decay ? w : s) : lanes{};
        to->v[t] = to->weight[t] * to->x[t];
    }
}

// G states through a tile, from the `first` on; y is added to.
template <int G>
void advance(const Steps& in, size states, size first, const lanes* a, lanes* h, lanes* y, size times) {
    lanes q[G], x[G];
    memcpy(q, a + first, sizeof q);
    memcpy(x, h + first, sizeof x);
    const float *b = in.b + first, *c = in.c + first;
    for (size t = 0; t < times; t++, b += states, c += states) {
        lanes s = in.s[t], v = in.v[t], sum[2] = {y[t], lanes{}};
        UNROLLED for (int k = 0; k < G; k++) {
            x[k] = power(s, q[k]) * x[k] + v * b[k];
            sum[k % 2] += x[k] * c[k];
        }
        y[t] = sum[0] + sum[1];
    }
    memcpy(h + first, x, sizeof x);
}

template <int G>
void advance_all(const Steps& in, size states, size first, const lanes* a, lanes* h, lanes* y, size times) {
    for (; first + G <= states; first += G) advance<G>(in, states, first, a, h, y, times);
    if constexpr (G > 1)
        if (first < states) advance_all<G / 2>(in, states, first, a, h, y, times);
}

// Gradients of a block in a tile; those of b and c are (times, N), vectors of channels that are yet to be summed.
struct Slopes {
    lanes dy[TILE], dv[TILE], ds[TILE];  // ds: times log2(e)
    lanes *db, *dc;
};

// The same backwards, from the states h before the tile and the gradients g of those after it. `path` has room for the
// states at all times and the decays between them. What is in `out` and the sums of a's gradients are added to.
template <int G>
void retreat(const Steps& in, size states, size first, const lanes* a, const lanes* h, lanes* gradients, lanes* sums,
             Slopes& out, lanes* path, size times) {
    lanes q[G], x[G], g[G], sum[G], *decays = path + (TILE + 1) * G;
    memcpy(q, a + first, sizeof q);
    memcpy(x, h + first, sizeof x);
    memcpy(g, gradients + first, sizeof g);
    memcpy(sum, sums + first, sizeof sum);
    memcpy(path, x, sizeof x);
    for (size t = 0; t < times; t++) {
        const float* b = in.b + t * states + first;
        lanes s = in.s[t], v = in.v[t];
        UNROLLED for (int k = 0; k < G; k++) {
            lanes decay = decays[t * G + k] = power(s, q[k]);
            path[(t + 1) * G + k] = x[k] = decay * x[k] + v * b[k];
        }
    }
    for (size t = times - 1; t >= 0; t--) {
        const float *b = in.b + t * states + first, *c = in.c + t * states + first;
        lanes *db = out.db + t * states + first, *dc = out.dc + t * states + first, *before = path + t * G;
        lanes s = in.s[t], v = in.v[t], dy = out.dy[t], dv = out.dv[t], ds = out.ds[t];
        UNROLLED for (int k = 0; k < G; k++) {
            lanes now = g[k] + dy * c[k];
            dc[k] += dy * before[G + k];
            db[k] += v * now;
            dv += now * b[k];
            g[k] = now * decays[t * G + k];
            lanes along = g[k] * before[k];
            sum[k] += along * s;
            ds += along * q[k];
        }
        out.dv[t] = dv;
        out.ds[t] = ds;
    }
    memcpy(gradients + first, g, sizeof g);
    memcpy(sums + first, sum, sizeof sum);
}

template <int G>
void retreat_all(const Steps& in, size states, size first, const lanes* a, const lanes* h, lanes* g, lanes* sums,
                 Slopes& out, lanes* path, size times) {
    for (; first + G <= states; first += G) retreat<G>(in, states, first, a, h, g, sums, out, path, times);
    if constexpr (G > 1)
        if (first < states) retreat_all<G / 2>(in, states, first, a, h, g, sums, out, path, times);
}

// From the gradients of v and s to those of x and delta, in their place.
void finish(const Scan& scan, const Steps& in, Slopes& out, lanes d, lanes* dbias, lanes* dd, size times) {
    lanes bias = {}, skip = {};
    for (size t = 0; t < times; t++) {
        float gap = in.gaps ? in.gaps[t] : 1.0f;
        lanes weight = out.dv[t] * in.x[t], step = out.ds[t] * LOG_2;
        out.ds[t] = (scan.decay ? weight + step * gap : (weight + step) * gap) * in.slope[t];
        out.dv[t] = out.dv[t] * in.weight[t];
        if (scan.bank.d) out.dv[t] += d * out.dy[t];
        bias += out.ds[t];
        skip += out.dy[t] * in.x[t];
    }
    *dbias += bias;
    *dd += skip;
}

}  // namespace
