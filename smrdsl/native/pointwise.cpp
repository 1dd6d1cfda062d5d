// A tree of pointwise operations in one pass over its streams, and the gradients of all of them in one pass back.
//
// Streams are (rows, channels), row after row at some pitch; with the pitch 0 one is a vector, the same in every row. A
// stream may be several times as wide as what comes out: it then has parts, side by side. A program is a list of steps,
// each three whole numbers (code, a, b) and a number c. Step i gives value i, from the values a and b:
//
//     LOAD   part b of stream a         SCALE  c a          RELU, SIGMOID, TANH, SOFTPLUS   of a
//     ADD, SUB, MUL   of a and b        OFFSET  a + c       NORMAL   P(N(0, 1) <= a)
//
// It runs tile by tile, whose values stay in the nearest cache. Backward they are made again: only streams are kept.
// Gradients of vectors are summed over a share of the rows, then over the shares, however many threads there are.
#include "functions.h"

namespace {

enum { LOAD, ADD, SUB, MUL, SCALE, OFFSET, RELU, SIGMOID, TANH, SOFTPLUS, NORMAL };
enum { MOST_STEPS = 64, MOST_SHARES = 16 };
enum { CACHE = 6144, LEAST_TILE = 256, MOST_TILE = 512 };  // in floats

struct Program {
    size count;
    const size* steps;
    const float* numbers;
    size code(size i) const { return steps[3 * i]; }
    size a(size i) const { return steps[3 * i + 1]; }
    size b(size i) const { return steps[3 * i + 2]; }
    bool joins(size i) const { return code(i) == ADD || code(i) == SUB || code(i) == MUL; }
};

struct Streams {
    size rows, channels;
    const float* const* at;
    const size* pitches;
};

struct Tile {
    size row, column, high, wide;

    size count() const { return high * wide; }
    size end() const { return blocks_of(count()) * LANES; }  // in whole vectors
};

// How streams are cut: into tiles (high, wide), of which each share of the rows has some.
struct Cut {
    size rows, channels, high, wide, share, shares;

    Cut(const Streams& streams, size buffers) : rows(streams.rows), channels(streams.channels) {
        size room = least(MOST_TILE, CACHE / buffers / 16 * 16);
        room = room < LEAST_TILE ? (size)LEAST_TILE : room;
        wide = least(channels, room);
        high = wide ? room / wide : 1;
        if (high > LANES) high -= high % LANES;  // whole vectors, whatever the number of channels
        size tiles = channels ? (rows + high - 1) / high : 0;
        share = (tiles + MOST_SHARES - 1) / MOST_SHARES * high;
        shares = tiles ? (rows + share - 1) / share : 0;
    }
    size vectors() const { return blocks_of(high * wide); }
    Tile tile(size row, size last, size column) const {
        return {row, column, least(high, last - row), least(wide, channels - column)};
    }
    template <class Work>
    void each(size i, Work work) const {
        size last = least(rows, (i + 1) * share);
        for (size column = 0; column < channels; column += wide)
            for (size row = i * share; row < last; row += high) work(tile(row, last, column), row == i * share);
    }
};

// Whether the numbers of a tile lie one after the other in an array of this pitch, in whole vectors.
inline bool in_place(const Tile& tile, size pitch) {
    return tile.count() == tile.end() && (tile.high == 1 || pitch == tile.wide);
}

// Behind the numbers are zeros, to the end of a vector.
void gather(const Tile& tile, const float* from, size pitch, float* to) {
    for (size r = 0; r < tile.high; r++) memcpy(to + r * tile.wide, from + r * pitch, sizeof(float) * tile.wide);
    memset(to + tile.count(), 0, sizeof(float) * (tile.end() - tile.count()));
}

void scatter(const Tile& tile, const float* from, float* to, size pitch) {
    for (size r = 0; r < tile.high; r++) memcpy(to + r * pitch, from + r * tile.wide, sizeof(float) * tile.wide);
}

// P(N(0, 1) <= x), to the last digits in its tail too, and its slope.
inline lanes normal(lanes x, lanes* slope) {
    lanes z = at_most(size_of(x), 13.5f), q = z * z, high = (lanes)((marks)z & ~0xfff), low = z - high;
    lanes lost = (high * high - q) + (z + high) * low;  // what q was rounded by
    lanes bell = fading(0.5f * q) * (1.0f - 0.5f * lost), t = inverse(1.0f + 0.3f * z);
    lanes p = t * 3.6089442e-2f - 0.158936188f;
    p = p * t + 0.209350556f;
    p = p * t - 5.64538725e-2f;
    p = p * t + 0.130034596f;
    p = p * t + 9.94644687e-2f;
    p = p * t + 0.120826408f;
    p = p * t + 0.119624533f;
    lanes beyond = bell * (p * t);
    *slope = bell * 0.398942280f;
    return x > 0.0f ? 1.0f - beyond : beyond;
}

// max(x, 0); a NaN stays one, with the slope 1 that torch gives it.
inline lanes ramp(lanes x, lanes* slope) {
    *slope = x <= 0.0f ? lanes{} : all(1.0f);
    return at_least(x, 0.0f);
}

template <class Function>
inline void map(const float* x, float* y, float* slopes, size end, Function function) {
    lanes slope;
    for (size i = 0; !slopes && i < end; i += LANES) store(y + i, function(load(x + i), &slope));
    for (size i = 0; slopes && i < end; i += LANES) {
        store(y + i, function(load(x + i), &slope));
        store(slopes + i, slope);
    }
}

// Value i, and the slopes there unless they are null.
void compute(const Program& program, size i, const float* const* values, float* y, float* slopes, size end) {
    const float *a = values[program.a(i)], *b = values[program.b(i)], c = program.numbers[i];
    switch (program.code(i)) {
        case ADD: for (size k = 0; k < end; k += LANES) store(y + k, load(a + k) + load(b + k)); return;
        case SUB: for (size k = 0; k < end; k += LANES) store(y + k, load(a + k) - load(b + k)); return;
        case MUL: for (size k = 0; k < end; k += LANES) store(y + k, load(a + k) * load(b + k)); return;
        case SCALE: for (size k = 0; k < end; k += LANES) store(y + k, load(a + k) * c); return;
        case OFFSET: for (size k = 0; k < end; k += LANES) store(y + k, load(a + k) + c); return;
        case RELU: return map(a, y, slopes, end, ramp);
        case SIGMOID: return map(a, y, slopes, end, sigmoid);
        case TANH: return map(a, y, slopes, end, tangent);
        case SOFTPLUS: return map(a, y, slopes, end, softplus);
        default: return map(a, y, slopes, end, normal);
    }
}

// The tile of a value that is loaded: where it lies (the next one is sent for), or gathered in `own`. Vectors lie there
// since the first tile.
const float* loaded(const Program& program, const Streams& streams, size i, const Tile& tile, bool first, float* own) {
    size stream = program.a(i), pitch = streams.pitches[stream];
    const float* from = streams.at[stream] + tile.row * pitch + program.b(i) * streams.channels + tile.column;
    bool direct = pitch && in_place(tile, pitch);
    for (size k = 0; direct && k < tile.count(); k += 16) __builtin_prefetch(from + tile.high * pitch + k);
    if (!direct && (pitch || first)) gather(tile, from, pitch, own);
    return direct ? from : own;
}

// All values of a tile; the last one goes to `last` unless that is null. `slopes` is null, or has room for all.
void run(const Program& program, const Streams& streams, const Tile& tile, bool first, size room, float* own,
         float* slopes, float* last, const float** values) {
    for (size i = 0; i < program.count; i++) {
        float* y = i == program.count - 1 && last ? last : own + i * room;
        bool given = program.code(i) == LOAD;
        values[i] = given ? loaded(program, streams, i, tile, first, y) : y;
        if (!given) compute(program, i, values, y, slopes ? slopes + i * room : nullptr, tile.end());
    }
}

int run_forward(const Program& program, const Streams& streams, int threads, float* y) {
    Cut cut(streams, program.count);
    size room = cut.vectors() * LANES;
    int failed = 0;
    FOR_THREADS(threads) for (size i = 0; i < cut.shares; i++) {
        Flushing flushing;
        Scratch work(program.count * cut.vectors());
        if (!work.at) failed = 1;
        if (work.at) cut.each(i, [&](const Tile& tile, bool first) {
            const float* values[MOST_STEPS];
            float* to = y + tile.row * streams.channels + tile.column;
            bool direct = in_place(tile, streams.channels);
            run(program, streams, tile, first, room, (float*)work.at, nullptr, direct ? to : nullptr, values);
            if (!direct) scatter(tile, values[program.count - 1], to, streams.channels);
        });
    }
    return failed;
}

// The reverse sweep over a tile.
struct Sweep {
    const Program& program;
    const Streams& streams;
    const size* widths;  // of each stream
    const bool* wanted;  // values
    size room;
    const float* slopes;
    float *grads, *const *to;  // of values in a tile, and of streams
    float* sums;               // of vectors over this share, (streams, channels)

    float* place(size i, const Tile& tile) const {
        size stream = program.a(i);
        return to[stream] + tile.row * widths[stream] + program.b(i) * streams.channels + tile.column;
    }

    float* target(size i, const Tile& tile) const {
        bool to_stream = program.code(i) == LOAD && streams.pitches[program.a(i)];
        return to_stream && in_place(tile, widths[program.a(i)]) ? place(i, tile) : grads + i * room;
    }

    void run_back(const Tile& tile, const float* dy, const float* const* values) const {
        float* targets[MOST_STEPS];
        bool given[MOST_STEPS] = {};
        size last = program.count - 1, end = tile.end();
        for (size i = 0; i < last; i++) targets[i] = wanted[i] ? target(i, tile) : nullptr;
        auto give = [&](size i, auto gradient) {
            if (!wanted[i]) return;
            float* sum = targets[i];
            for (size k = 0; !given[i] && k < end; k += LANES) store(sum + k, gradient(k));
            for (size k = 0; given[i] && k < end; k += LANES) store(sum + k, load(sum + k) + gradient(k));
            given[i] = true;
        };
        for (size i = last; i >= 0; i--)
            if (program.code(i) != LOAD && wanted[i]) differentiate(i, i == last ? dy : targets[i], values, give);
        for (size i = 0; i < last; i++)
            if (program.code(i) == LOAD && wanted[i]) put(i, tile, targets[i]);
    }

    // What the gradient g of value i is for those that it is made of.
    template <class Give>
    void differentiate(size i, const float* g, const float* const* values, Give give) const {
        const float *x = values[program.a(i)], *y = values[program.b(i)], *slope = slopes + i * room;
        size a = program.a(i), b = program.b(i);
        float c = program.numbers[i];
        auto same = [&](size k) { return load(g + k); };
        switch (program.code(i)) {
            case ADD: return give(a, same), give(b, same);
            case SUB: return give(a, same), give(b, [&](size k) { return -load(g + k); });
            case MUL:
                give(a, [&](size k) { return load(g + k) * load(y + k); });
                return give(b, [&](size k) { return load(g + k) * load(x + k); });
            case SCALE: return give(a, [&](size k) { return load(g + k) * c; });
            case OFFSET: return give(a, same);
            default: return give(a, [&](size k) { return load(g + k) * load(slope + k); });
        }
    }

    // The gradient of what was loaded to where it belongs, unless it lies there.
    void put(size i, const Tile& tile, const float* found) const {
        size stream = program.a(i);
        if (streams.pitches[stream]) {
            if (found != place(i, tile)) scatter(tile, found, place(i, tile), widths[stream]);
            return;
        }
        float* sum = sums + stream * streams.channels + tile.column;
        for (size r = 0; r < tile.high; r++)
            for (size j = 0; j < tile.wide; j++) sum[j] += found[r * tile.wide + j];
    }
};

int run_backward(const Program& program, const Streams& streams, size count, int threads, const float* dy,
                 float* const* to) {
    Cut cut(streams, 5 * program.count / 2);
    size n = program.count, vectors = cut.vectors(), all = count * streams.channels, widths[MOST_STEPS] = {};
    bool wanted[MOST_STEPS];
    for (size i = 0; i < n; i++) {
        size a = program.a(i), width = (program.b(i) + 1) * streams.channels;
        bool is_load = program.code(i) == LOAD;
        wanted[i] = is_load ? to[a] != nullptr : wanted[a] || (program.joins(i) && wanted[program.b(i)]);
        if (is_load && widths[a] < width) widths[a] = width;
    }
    Scratch sums(blocks_of(cut.shares * all));
    if (!sums.at) return 1;
    memset(sums.at, 0, sizeof(float) * cut.shares * all);
    int failed = 0;
    FOR_THREADS(threads) for (size i = 0; i < cut.shares; i++) {
        Flushing flushing;
        Scratch work((3 * n + 1) * vectors);
        if (!work.at) failed = 1;
        size room = vectors * LANES;
        float *own = (float*)work.at, *slopes = own + n * room, *grads = slopes + n * room, *last = grads + n * room;
        Sweep sweep = {program, streams, widths, wanted, room, slopes, grads, to, (float*)sums.at + i * all};
        if (work.at) cut.each(i, [&](const Tile& tile, bool first) {
            const float *values[MOST_STEPS], *g = dy + tile.row * streams.channels + tile.column;
            run(program, streams, tile, first, room, own, slopes, nullptr, values);
            bool direct = in_place(tile, streams.channels);
            if (!direct) gather(tile, g, streams.channels, last);
            sweep.run_back(tile, direct ? g : last, values);
        });
    }
    for (size k = 0; k < count; k++)
        for (size j = 0; to[k] && !streams.pitches[k] && j < streams.channels; j++) {
            float sum = 0.0f;
            for (size i = 0; i < cut.shares; i++) sum += ((float*)sums.at)[i * all + k * streams.channels + j];
            to[k][j] = sum;
        }
    return failed;
}

}  // namespace

// A program of 2 to 64 steps, of which the last is no LOAD and each value but the last is read; y is (rows, channels).
KERNEL(pointwise_forward)
(size threads, size rows, size channels, size count, const size* steps, const float* numbers,
 const float* const* streams, const size* pitches, float* y) {
    return run_forward({count, steps, numbers}, {rows, channels, streams, pitches}, (int)threads, y);
}

// The gradient dy of y -> those of the streams, each as wide as all of its parts, or null where nobody wants it.
KERNEL(pointwise_backward)
(size threads, size rows, size channels, size count, size many, const size* steps, const float* numbers,
 const float* const* streams, const size* pitches, const float* dy, float* const* to) {
    return run_backward({count, steps, numbers}, {rows, channels, streams, pitches}, many, (int)threads, dy, to);
}
