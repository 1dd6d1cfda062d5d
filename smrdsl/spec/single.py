"""Single: a few steps without a model around them, resolved as a model over a signal of a given width."""

from __future__ import annotations

from smrdsl.core.errors import Report, SpecError
from smrdsl.core.source import Source
from smrdsl.ops.registry import operators
from smrdsl.spec.cycles import component_calls
from smrdsl.spec.library import library
from smrdsl.spec.limits import Limits
from smrdsl.spec.resolve import Resolver
from smrdsl.syntax import tree
from smrdsl.syntax.parse import parse_steps


def layer_resolver(source: Source, width: int, limits: Limits | None = None) -> Resolver:
    """A resolver whose text is `model layer { signal(channels=width) STEPS }`; mistakes are placed in the steps.

    The library's components are known by name. Raises `SpecError` where the steps cannot be parsed.
    """
    if not isinstance(width, int) or isinstance(width, bool) or width < 1:
        raise ValueError(f"width must be a whole number of at least 1, this is {width!r}")
    report = Report()
    block = parse_steps(source, report)
    if block is None:
        raise SpecError(report.diagnostics)
    here = block.span
    channels = tree.Argument("channels", tree.Number(width, span=here), span=here)
    signal = tree.Step(None, tree.Name("signal", span=here), (channels,), None, span=here)
    whole = tree.Block((signal, *block.statements), span=here)
    model = tree.Model(tree.Name("layer", span=here), None, None, (), whole, span=here)
    called = {callee.spelled for callee in component_calls(block)}
    misspelt = called - library().keys() - operators().keys()  # then all there is may be meant
    files = sorted({entry.file for name, entry in library().items() if misspelt or name in called})
    imports = (tree.Import(tree.Text(name, span=here), None, span=here) for name in files)
    file = tree.File((*imports, model), span=here)
    return Resolver(source, None, limits or Limits(), report, file=file)
