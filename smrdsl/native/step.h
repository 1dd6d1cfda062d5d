// What the instructions of a step are made of. A step is a program: instructions over buffers that lie ready, for all
// sequences of a batch at once. Sequences never meet, so that some of them may be left to another thread.
//
// Of an instruction there are WORDS words of 8 bytes: its number, then its operands in the order of its struct. Streams
// are `Rows`, a row for each sequence. What is kept for each channel lies in blocks of BLOCK channels at every level,
// (blocks, numbers, BLOCK), so that what packs it need not know of levels. `step_program.py` writes all this down.
#pragma once

#include "functions.h"

namespace {

enum { WORDS = 24, PANEL = 32, BLOCK = 16, VECTORS = BLOCK / LANES };

// One row for each sequence, `pitch` numbers apart.
struct Rows {
    float* at;
    size pitch;
    float* row(size b) const { return at + b * pitch; }
};

// The sequences that are worked on.
struct Span {
    size first, last;
};

// The operands of an instruction.
template <class Operands>
Operands operands(const size* words) {
    static_assert(sizeof(Operands) <= 8 * (WORDS - 1), "an instruction has no room for its operands");
    Operands found;
    memcpy(&found, words + 1, sizeof found);
    return found;
}

// `work` for the vectors of a row: where each begins, and how many of its numbers count.
template <class Work>
inline void for_vectors(size width, Work work) {
    size i = 0;
    for (; i + LANES <= width; i += LANES) work(i, (size)LANES);
    if (i < width) work(i, width - i);
}

// `work` for the vectors of all blocks of channels: the block, the place in it, and how many channels count.
template <class Work>
inline void for_blocks(size width, Work work) {
    for (size block = 0; block * BLOCK < width; block++)
        for (size lane = 0; lane < BLOCK && block * BLOCK + lane < width; lane += LANES)
            work(block, lane, least(LANES, width - block * BLOCK - lane));
}

inline size blocks_for(size width) { return (width + BLOCK - 1) / BLOCK; }

inline float sum_of(lanes v) {
    float sum[LANES];
    memcpy(sum, &v, sizeof sum);
    for (int half = LANES / 2; half; half /= 2)
        for (int j = 0; j < half; j++) sum[j] += sum[j + half];
    return sum[0];
}

}  // namespace
