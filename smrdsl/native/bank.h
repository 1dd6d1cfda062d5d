// A bank of systems with one input and one output per channel, and what all of its kernels share.
//
//     x_t = A x_{t-1} + b u_t        y_t = c . x_t + d u_t
//
// Streams are (batch, length, channels), states (batch, channels, N), parameters (channels, N), the skip d (channels).
// Channels are worked on in blocks of one vector, times in tiles: inside a tile, one block after the other, so that a
// stream is read once and in order. What belongs to one state of a block lies together, its `Column`s as vectors; there
// may be more places for states than there are states, which then hold zeros. Backward, the states are made again from
// those before each tile, the checkpoints (batch, tiles, N * channels, these rounded up to 16); gradients are summed over
// a tile, then over the tiles, then over the batch, in this order, whatever the number of threads.
#pragma once

#include "lanes.h"

namespace {

enum { TILE = 64, WIDEST = 16, MOST_COLUMNS = 16 };

// One number of every state of every channel, as it lies in an array (channels, pitch).
template <class Number>
struct Column {
    Number* at;
    size pitch;
};

struct Bank {
    size batch, length, channels, rows;  // rows: real numbers in a state, the parts of complex ones one after the other
    size parts, states, places, columns;  // of a kind, filled in by it
    const float *u, *d;
    size reversed = 0;  // whether time runs backwards
    const float* gaps = nullptr;  // (batch, length), of a kind that has them

    size blocks() const { return blocks_of(channels); }
    size padded() const { return (channels + WIDEST - 1) / WIDEST * WIDEST; }
    size tiles() const { return (length + TILE - 1) / TILE; }
    size count(size block) const { return least(LANES, channels - block * LANES); }
    size numbers() const { return places * parts; }  // vectors of a state
    size times(size tile) const { return least(TILE, length - tile * TILE); }
    size step() const { return reversed ? -channels : channels; }  // from a time to the next
    const float* gaps_of(size b, size tile) const { return gaps ? gaps + b * length + tile * TILE : nullptr; }
};

// The columns of an array (channels, N), the real parts before the imaginary ones.
template <class Number>
void add_columns(Column<Number>*& to, const Bank& bank, Number* array, size rows = 1, size row = 0) {
    for (size part = 0; part < bank.parts; part++)
        *to++ = {array ? array + row * bank.rows + part * bank.states : nullptr, rows * bank.rows};
}

// All parameters as vectors: (blocks, places, columns).
inline void pack(const Bank& bank, const Column<const float>* columns, lanes* to, int threads = 1) {
    size one = bank.places * bank.columns;
    FOR_THREADS(threads) for (size block = 0; block < bank.blocks(); block++) {
        float* at = (float*)(to + block * one);
        memset(at, 0, sizeof(lanes) * one);
        for (size f = 0; f < bank.columns; f++)
            for (size j = 0; j < bank.count(block); j++) {
                const float* from = columns[f].at + (block * LANES + j) * columns[f].pitch;
                for (size n = 0; n < bank.states; n++) at[(n * bank.columns + f) * LANES + j] = from[n];
            }
    }
}

// Gradients of parameters (batch, blocks, places, columns), summed over the batch in its order, into their arrays.
inline void unpack(const Bank& bank, const lanes* grads, const Column<float>* columns, int threads = 1) {
    size one = bank.blocks() * bank.places * bank.columns;
    FOR_THREADS(threads) for (size block = 0; block < bank.blocks(); block++)
        for (size n = 0; n < bank.states; n++)
            for (size f = 0; f < bank.columns; f++) {
                const lanes* from = grads + (block * bank.places + n) * bank.columns + f;
                lanes sum = {};
                for (size b = 0; b < bank.batch; b++) sum += from[b * one];
                float* to = columns[f].at + block * LANES * columns[f].pitch + n;
                for (size j = 0; j < bank.count(block); j++) to[j * columns[f].pitch] = sum[j];
            }
}

// A state (channels, N) as vectors, zeros where there is none, and back.
inline void load_state(const Bank& bank, const float* from, size block, lanes* to) {
    memset(to, 0, sizeof(lanes) * bank.numbers());
    if (!from) return;
    from += block * LANES * bank.rows;
    for (size j = 0; j < bank.count(block); j++, from += bank.rows)
        for (size part = 0; part < bank.parts; part++)
            for (size n = 0; n < bank.states; n++) to[n * bank.parts + part][j] = from[part * bank.states + n];
}

inline void store_state(const Bank& bank, const lanes* from, size block, float* to) {
    to += block * LANES * bank.rows;
    for (size j = 0; j < bank.count(block); j++, to += bank.rows)
        for (size part = 0; part < bank.parts; part++)
            for (size n = 0; n < bank.states; n++) to[part * bank.states + n] = from[n * bank.parts + part][j];
}

// The state before a tile, in the checkpoints: as vectors, block after block.
inline float* checkpoint(const Bank& bank, float* kept, size b, size tile, size block) {
    return kept + ((b * bank.tiles() + tile) * bank.padded() + block * LANES) * bank.rows;
}

inline void load_checkpoint(const Bank& bank, const float* kept, size b, size tile, size block, lanes* to) {
    memset(to, 0, sizeof(lanes) * bank.numbers());
    memcpy(to, checkpoint(bank, (float*)kept, b, tile, block), sizeof(lanes) * bank.rows);
}

inline void store_checkpoint(const Bank& bank, const lanes* from, size b, size tile, size block, float* kept) {
    memcpy(checkpoint(bank, kept, b, tile, block), from, sizeof(lanes) * bank.rows);
}

// Where a tile of a stream begins.
inline size place(const Bank& bank, size b, size tile, size block) {
    size first = bank.reversed ? bank.length - 1 : 0;
    return (b * bank.length + first) * bank.channels + tile * TILE * bank.step() + block * LANES;
}

inline void load_tile(const Bank& bank, const float* from, size times, size count, lanes* to) {
    for (size t = 0; t < times; t++) {
        __builtin_prefetch(from + t * bank.step() + LANES);
        to[t] = load_some(from + t * bank.step(), count);
    }
}

inline void store_tile(const Bank& bank, const lanes* from, size times, size count, float* to) {
    for (size t = 0; t < times; t++) store_some(to + t * bank.step(), from[t], count);
}

// Jobs for threads: a sequence each or, so that all threads have much the same to do, some blocks of a sequence.
struct Jobs {
    size blocks, share, shares, count;
    Jobs(const Bank& bank, size threads) : blocks(bank.blocks()) {
        size wanted = threads == 1 || bank.batch < 1 ? 1 : (4 * threads + bank.batch - 1) / bank.batch;
        share = (blocks + wanted - 1) / wanted;
        shares = (blocks + share - 1) / share;
        count = bank.batch * shares;
    }
    size sequence(size job) const { return job / shares; }
    size first(size job) const { return job % shares * share; }
    size last(size job) const { return least(first(job) + share, blocks); }
};

}  // namespace
