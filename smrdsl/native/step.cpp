// One sample through a whole model: its program (`step.h`), instruction by instruction.
#include "step_cores.h"
#include "step_linear.h"
#include "step_streams.h"

namespace {

// In the order of `OPS` in step_program.py.
enum class Op : size {
    LINEAR, MAP, GATE, SUM, AFFINE, NORM, COPY, GATHER, COUNT, SYSTEM, MODES, SELECTIVE, HEADS, TAPS, SHIFT, POOL
};

void run(const size* words, Span span) {
    switch ((Op)words[0]) {
        case Op::LINEAR: return linear(operands<Linear>(words), span);
        case Op::MAP: return map(operands<Map>(words), span);
        case Op::GATE: return gate(operands<Gate>(words), span);
        case Op::SUM: return sum(operands<Sum>(words), span);
        case Op::AFFINE: return affine(operands<Affine>(words), span);
        case Op::NORM: return norm(operands<Norm>(words), span);
        case Op::COPY: return copy(operands<Copy>(words), span);
        case Op::GATHER: return gather(operands<Gather>(words), span);
        case Op::COUNT: return count(operands<Count>(words), span);
        case Op::SYSTEM: return system(operands<System>(words), span);
        case Op::MODES: return modes(operands<Modes>(words), span);
        case Op::SELECTIVE: return selective(operands<Selective>(words), span);
        case Op::HEADS: return heads(operands<Heads>(words), span);
        case Op::TAPS: return taps(operands<Taps>(words), span);
        case Op::SHIFT: return shift(operands<Shift>(words), span);
        case Op::POOL: return pool(operands<Pool>(words), span);
    }
}

}  // namespace

// `count` instructions for a batch. Gives 0, or the number, from 1 on, of the instruction that an index does not fit:
// then nothing was done, so that the state is what it was.
KERNEL(step_run)(size threads, size batch, size count, const size* words) {
    for (size i = 0; i < count; i++) {
        const size* at = words + i * WORDS;
        if ((Op)*at == Op::GATHER && !operands<Gather>(at).fits({0, batch})) return (int)i + 1;
    }
    FOR_THREADS((int)threads) for (size t = 0; t < threads; t++) {
        Flushing flushing;
        Span span = {batch * t / threads, batch * (t + 1) / threads};
        for (size i = 0; i < count; i++) run(words + i * WORDS, span);
    }
    return 0;
}
