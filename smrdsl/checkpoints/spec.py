"""Spec: a model of known facts as a text of the language, in its canonical form."""

from __future__ import annotations

import shlex

from smrdsl.checkpoints.contract import Facts, Format, Value
from smrdsl.core.errors import Report
from smrdsl.core.source import Source
from smrdsl.ops.contract import Range
from smrdsl.syntax.format import format_text

LENGTH = 2048
"""What the published Mambas were trained with; any length runs."""
TEXT = """# {name}: {title} as `{config}` describes it.
#
#   smrdsl compile {name}.smr --weights {weights}
#
# Everything is computed in float32, residuals too, whatever type the weights were saved in.
{note}
import "std/{component}.smr"{prefix}

model {name}(width = {width}, depth = {depth}, vocab = {vocab}) {{
  tokens(vocab=vocab, length={length})
  tok: embed(width)

  repeat depth {{
    residual {{
      norm(rms, eps={eps})
      {call}({arguments})
    }}
  }}

  norm(rms, eps={eps})
  head: linear(vocab, bias=false{tie})
}}

# The same model with State Memory Replay in front of every core. It takes the same weights and, before it is trained,
# computes the same.
model {name}_smr extends {name} {{
  place smr(memory=4) before ssm
}}
"""


def spec_text(name: str, format: Format, facts: Facts, config: str, weights: str) -> str:
    """A spec for the model `name`. config, weights: where they lie, for the reader."""
    clash = name == format.name  # a model cannot have the name of what its file imports
    text = TEXT.format(
        name=name,
        title=format.title,
        config=_one_line(config),
        weights=_one_line(shlex.quote(weights)),
        note="".join(f"# {line}\n" for line in format.note(facts).splitlines()),
        component=format.name,
        prefix=" as std" if clash else "",
        call=f"std.{format.name}" if clash else format.name,
        width=facts.width,
        depth=facts.depth,
        vocab=facts.vocab,
        length=LENGTH,
        eps=_written(facts.eps),
        arguments=", ".join(f"{key}={_written(value)}" for key, value in facts.block.items()),
        tie=", tie=tok" if facts.tied else "",
    )
    written = format_text(Source(name, text), Report())
    assert written is not None, text
    return written


def _written(value: Value) -> str:
    """A value exactly, as the language has it."""
    match value:
        case bool():
            return "true" if value else "false"
        case None:
            return "none"
        case Range():
            return f"{_written(value.low)}..{_written(value.high)}"
    return repr(value).replace("e-0", "e-")


def _one_line(path: str) -> str:
    """A path inside a comment."""
    return "".join(c if c.isprintable() else "?" for c in path)
