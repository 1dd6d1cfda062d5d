"""Random specs that compile: every operator of the registry, with its own samples, in every construct of the language.

Streams are WIDTH wide between steps, so that whatever is drawn fits; an operator that leaves another width is
followed by a `linear` back.
"""

from __future__ import annotations

from dataclasses import dataclass

from hypothesis import strategies as st

from smrdsl.core.types import StreamType
from smrdsl.graph.show import show_params
from smrdsl.ops.registry import operators

WIDTH = 8
MERGES = ("add", "mul", "mean", "concat")


def sample_steps(*, causal: bool, timed: bool = False) -> dict[str, list[str]]:
    """Operator -> steps in the language, one for each of its samples that takes and leaves sequences."""
    steps: dict[str, list[str]] = {}
    for name, op in operators().items():
        if op.structural or "input" in op.families:
            continue
        for params, inputs in op.samples:
            sequences = all(i == StreamType.real(i.width) for i in inputs)
            misfit = not op.uses_step(params) and "ssm" in op.families if timed else op.needs_gaps(params)
            if not sequences or getattr(params, "tie", None) or (causal and op.looks_ahead(params)) or misfit:
                continue
            leaves = op.infer(params, inputs)
            if leaves.timed:
                back = "" if leaves.width == WIDTH else f"  linear({WIDTH})"
                steps.setdefault(name, []).append(call(name, show_params(params), inputs) + back)
    return steps


def call(name: str, arguments: str, inputs: tuple[StreamType, ...]) -> str:
    """A step, or a flow over several streams, each made as wide as the sample has it."""
    if len(inputs) == 1:
        there = "" if inputs[0].width == WIDTH else f"linear({inputs[0].width})  "
        return f"{there}{name}({arguments})"
    streams = ", ".join(f"it |> linear({i.width})" for i in inputs)
    return f"it := {name}({', '.join(filter(None, [streams, arguments]))})"


CAUSAL = sample_steps(causal=True)
ALL = sample_steps(causal=False)
TIMED = {causal: sample_steps(causal=causal, timed=True) for causal in (True, False)}
LIBRARY = {
    "s4_block": ["s4_block(state=4)"],
    "s5_block": [f"s5_block(state=4, act={act})" for act in ("gelu", "full_glu", "half_glu1", "half_glu2")],
    "h3": ["h3(state=4, shift=3)"],
    "mamba": ["mamba(state=3, conv=3)"],
    "mamba2": ["mamba2(state=3, head=4, groups=2)", "mamba2(state=2, head=8, norm_before_gate=true)"],
    "mega": ["mega(state=2, qk=4)", "mega(qk=4, act=laplace, bias=simple, max_length=64, prenorm=false, kind=scale)"],
    "mega_chunk": ["mega_chunk(state=2, qk=4, chunk=3, act=relu2)"],
    "mega_ffn": ["mega_ffn(6)"],
    "spade": [f"spade(state=4, heads=2, window=3, combine={c})" for c in ("concat", "add", "stack")],
    "spade_local": ["spade_local(2, window=3, prenorm=false)"],
}
"""Components of the standard library that leave the width as it is."""
UNTIMED = {"mega", "mega_chunk"}
"""Those whose core has no step."""
FILES = {"mega_chunk": "mega", "mega_ffn": "mega", "spade_local": "spade"}
"""Where a component is, if not in the file of its own name."""


@dataclass
class Writer:
    """Draws a block; `depth` bounds nesting, `causal` leaves out what looks ahead."""

    draw: st.DrawFn
    causal: bool
    timed: bool = False
    inside: bool = False
    """Whether it writes the component, which cannot use itself."""
    taps: int = 0
    in_body: bool = False
    """Whether it writes what a component may put in more than once, where a label would not be unique."""

    def step(self, depth: int, body: bool) -> str:
        kinds = ["operator"] * 4 + ["library"]
        if depth > 0:
            kinds += ["residual", "gated", "parallel", "repeat", "when", "tap", "flow"]
            kinds += ["component"] if not self.inside else []
            kinds += [] if self.causal else ["bidirectional"]
        kinds += ["body"] if body else []
        return getattr(self, f"_{self.draw(st.sampled_from(kinds))}")(depth - 1)

    def block(self, depth: int, body: bool = False) -> str:
        count = self.draw(st.integers(1, 2))
        return "  ".join(self.step(depth, body) for _ in range(count))

    def _operator(self, depth: int) -> str:
        steps = TIMED[self.causal] if self.timed else CAUSAL if self.causal else ALL
        return self.draw(st.sampled_from(steps[self.draw(st.sampled_from(sorted(steps)))]))

    def _library(self, depth: int) -> str:
        names = sorted(LIBRARY.keys() - UNTIMED if self.timed else LIBRARY)
        return self.draw(st.sampled_from(LIBRARY[self.draw(st.sampled_from(names))]))

    def _body(self, depth: int) -> str:
        return "body"

    def _residual(self, depth: int) -> str:
        scale = self.draw(st.sampled_from(["", "(0.5)", "(scale=2)"]))
        return f"residual{scale} {{ {self.block(depth)} }}"

    def _gated(self, depth: int) -> str:
        act = self.draw(st.sampled_from(["sigmoid", "silu", "tanh"]))
        return f"gated({act}) {{ {self.block(depth)} }}"

    def _merged(self, merge: str, streams: int) -> str:
        return f"  linear({WIDTH})" if merge == "concat" and streams > 1 else ""

    def _parallel(self, depth: int) -> str:
        merge, count = self.draw(st.sampled_from(MERGES)), self.draw(st.integers(1, 3))
        branches = " ".join(f"branch {{ {self.block(depth)} }}" for _ in range(count))
        return f"parallel(merge={merge}) {{ {branches} }}{self._merged(merge, count)}"

    def _bidirectional(self, depth: int) -> str:
        merge = self.draw(st.sampled_from(MERGES))
        return f"bidirectional(merge={merge}) {{ {self.block(depth)} }}{self._merged(merge, 2)}"

    def _repeat(self, depth: int) -> str:
        label = self.draw(st.sampled_from(["", "stack: "])) if depth == 1 and not self.in_body else ""
        count = self.draw(st.integers(0, 2))
        inner = self.block(depth)
        return f"residual {{ {label}repeat {count} as i {{ {inner} }} skip }}"

    def _when(self, depth: int) -> str:
        condition = self.draw(st.sampled_from(["width == 8", "width > 8 or kind == rms", "not true"]))
        return f"when {condition} {{ {self.block(depth)} }} else {{ {self.block(depth)} }}"

    def _tap(self, depth: int) -> str:
        self.taps += 1
        name = f"x{self.taps}"
        way = self.draw(st.sampled_from([f"it + {name}", f"2 * {name} - it / 3", f"1 - ({name} |> tanh) * it"]))
        return f"residual {{ {name} := it  {self.block(depth)}  it := {way} }}"

    def _flow(self, depth: int) -> str:
        return f"it := it |> linear(2 * width) |> silu |> linear({WIDTH})"

    def _component(self, depth: int) -> str:
        outer, self.in_body = self.in_body, True
        body = self.block(depth)
        self.in_body = outer
        return f"around({self.draw(st.integers(1, 2))}) {{ {body} }}"


@st.composite
def specs(draw: st.DrawFn, *, causal: bool = True, timed: bool = False) -> str:
    """The text of a file: a component with a body, a model, and its twin by edits."""
    writer, within = Writer(draw, causal, timed), Writer(draw, causal, timed, inside=True)
    tokens, clock = draw(st.booleans()), ", timed=true" if timed else ""
    start = f"tokens(vocab=11{clock})  tok: embed(8)" if tokens else f"signal(channels=3{clock})  linear(8)"
    ends = ["pool(mean)  linear(5)", "pool(last)", "linear(4)", "pool(max)  gelu", "pool(sum)"]
    ends += ["linear(11, bias=false, tie=tok)"] if tokens else []
    edits = sorted(draw(st.lists(st.sampled_from(EDITS), max_size=3, unique=True)), key=EDITS.index)
    executes = EXECUTES[1:] if timed else EXECUTES
    text = "\n".join(
        [
            f"component around(n, inner = n * width) {{ {within.block(1, body=True)}  body",
            "  residual { linear(inner)  gelu  linear(8) } }",
            f"model base(kind = layer) {{ {start}",
            f"  {writer.block(3)}",
            "  around(1) { smr(memory=2) }  core: s4d(state=4)  mixed: residual { norm(kind)  s4(state=4) }",
            f"  {writer.block(2)}",
            f"  {draw(st.sampled_from(ends))} }}",
            f"model twin extends base {{ {'  '.join([*edits, *draw(st.sampled_from(executes))])} }}",
        ]
    )
    return "\n".join([*imports(text), text])


def imports(text: str) -> list[str]:
    """The lines that bring what a text uses of the library."""
    files = {FILES.get(name, name) for name in LIBRARY if f"{name}(" in text}
    return [f'import "std/{file}.smr"' for file in sorted(files)]


EDITS = (
    "place smr(memory=3, init=random) before ssm",
    "place affine after mixed",
    "place conv1d(kernel=2) before core where state == 4",
    "replace core with s4(state=2)",
    "remove norm where kind == layer",
    "place gelu after around where n > 1",
    "replace around with conv1d(kernel=3) where n == 2",
    "remove around",
)
EXECUTES = (
    ("execute core as conv",),
    ("execute ssm as scan",),
    ("execute ssm as recurrent",),
    ("execute ssm as auto",),
)
