"""Graphs from texts, for the tests of this room."""

from smrdsl.core.source import Source
from smrdsl.graph.build import build
from smrdsl.graph.graph import Graph
from smrdsl.spec.resolve import Resolver


def graph(text: str, name: str | None = None) -> Graph:
    """The graph of a model in a text that has no mistakes."""
    resolver = Resolver(Source("spec.smr", text))
    resolver.load()
    model = resolver.model(resolver.pick(name))
    assert model is not None, resolver.report.diagnostics
    return build(model)


def model(*steps: str) -> Graph:
    """The graph of a model with these steps behind an input of eight channels."""
    return graph("model m { signal(channels=8) " + " ".join(steps) + " }")


QUICKSTART = """
model quickstart(hidden = 16, depth = 4) {
  signal(channels=1, length=64)
  linear(hidden)
  repeat depth as i {
    residual { norm(layer)  smr(memory=4)  s4(state=8)  gelu  dropout(0.1)  glu }
  }
  pool(mean)
  linear(10)
}
"""

HYBRID = """
model hybrid(width = 16, depth = 8, every = 4) {
  signal(channels=3, length=64)
  linear(width)
  repeat depth as layer {
    residual {
      norm(layer)
      when layer % every == every - 1 { attention(heads=4) } else { mix: s4d(state=8)  gelu }
    }
  }
  linear(3)
}
"""

TWO_WAYS = """
model two_ways(width = 8) {
  signal(channels=1)
  linear(width)
  bidirectional(merge=concat) { s4d(state=4)  gelu }
  parallel(merge=add) { branch { linear(width) } branch { conv1d(kernel=5)  linear(width) } }
  pool(last)
}
"""

COMPONENTS = """
component prenorm { residual(scale=0.5) { norm(rms)  body } }

model stacked(width = 8) {
  tokens(vocab=32)
  tok: embed(width)
  repeat 3 { prenorm { smr  s4d(state=4) } ffn: prenorm { mlp(16) } }
  head: linear(32, tie=tok)
}
"""
