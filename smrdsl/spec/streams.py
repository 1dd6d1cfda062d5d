"""Streams: flows checked on the text alone: what they name, call and lead into. `flows` makes nodes of them."""

from __future__ import annotations

from smrdsl.core.errors import Fix
from smrdsl.ops.contract import Operator
from smrdsl.spec.arithmetic import FUNCTIONS
from smrdsl.spec.evaluate import imported_file
from smrdsl.spec.uses import Known, Uses
from smrdsl.spec.walk import COMBINATORS
from smrdsl.syntax import tree

ARITHMETIC = ("+", "-", "*", "/")


def check_flow(uses: Uses, e: tree.Expression, known: Known) -> None:
    """Names, callees and arguments of a flow; what is a stream and what a number shows where it is expanded."""
    match e:
        case tree.It():
            pass
        case tree.Name():
            _name(uses, e, known)
        case tree.Dotted() if _callable(uses, e):
            _needs_stream(uses, e, f"it |> {e.spelled}", certain=True)
        case tree.Pipe():
            check_flow(uses, e.stream, known)
            _target(uses, e.target, known)
        case tree.Call() if e.callee.spelled not in FUNCTIONS:
            _call(uses, e, known)
        case tree.Unary(operator="-"):
            check_flow(uses, e.operand, known)
        case tree.Binary() if e.operator in ARITHMETIC:
            check_flow(uses, e.left, known)
            check_flow(uses, e.right, known)
        case _:
            uses.expression(e, known)


def _fail(uses: Uses, message: str, e: tree.Node, fix: Fix | None = None) -> None:
    uses.report.error("E0208", message, e.span, fix=fix)


def _needs_stream(uses: Uses, e: tree.Node, meant: str, *, certain: bool = False) -> None:
    name = e.callee.spelled if isinstance(e, tree.Call) else e.span.text
    fix = Fix(f"write `{meant}`", e.span, meant) if certain else None
    _fail(uses, f"`{name}` needs its stream: write `{meant}`", e, fix)


def _operator(uses: Uses, name: str) -> Operator | None:
    """The operator or combinator that may be written under this name."""
    op = uses.ops.get(name)
    return op if op and (not op.structural or name in COMBINATORS) else None


def _callable(uses: Uses, e: tree.Name | tree.Dotted) -> bool:
    return uses.unit.component(e) is not None or _operator(uses, e.spelled) is not None


def _name(uses: Uses, e: tree.Name, known: Known) -> None:
    if known.find(e.id) is not None or e.id == "width":
        uses.expression(e, known)
    elif e.id in uses.unit.aliases:
        _fail(uses, imported_file(e.id), e)
    elif not _callable(uses, e):
        uses.unknown(e, known, ("it",))
    elif not _refuse(uses, e.id, e):
        _needs_stream(uses, e, f"it |> {e.id}", certain=True)


def _refuse(uses: Uses, name: str, e: tree.Node) -> bool:
    """Report an operator that no flow can hold; whether it is one."""
    op = None if uses.unit.component(_callee(e)) else uses.ops.get(name)
    if op is not None and not op.streams:
        _fail(uses, f"`{name}` is an input, which is a step of its own and the first one", e)
    elif op is not None and name in COMBINATORS:
        _fail(uses, f"`{name}` takes a block, and there are no blocks in flows", e)
    else:
        return False
    return True


def _callee(e: tree.Node) -> tree.Name | tree.Dotted:
    callee = e.callee if isinstance(e, tree.Call) else e
    assert isinstance(callee, tree.Name | tree.Dotted)
    return callee


def _target(uses: Uses, target: tree.Expression, known: Known) -> None:
    """What `|>` leads into."""
    if not isinstance(target, tree.Name | tree.Dotted | tree.Call):
        _fail(uses, "`|>` leads into an operator or component", target)
        return
    call = target if isinstance(target, tree.Call) else tree.Call(target, (), span=target.span)
    component = uses.unit.component(call.callee)
    if component is None and _refuse(uses, call.callee.spelled, target):
        return
    if not uses.call(call, known):
        return
    op = uses.ops.get(call.callee.spelled)
    if component is not None:
        if component[1].takes_body(component[0]):
            message = f"`{call.callee.spelled}` needs a block, and there are no blocks in flows; write it as a step"
            uses.report.error("E0205", message, call.callee.span)
    elif op is not None and len(op.streams) != 1:
        streams = ", ".join(op.streams)
        _fail(uses, f"`{op.name}` reads several streams: write `{op.name}({streams}, ...)`", call.callee)


def _call(uses: Uses, e: tree.Call, known: Known) -> None:
    """`attend(q, k, v, heads=4)`; any other call has forgotten its stream."""
    name = e.callee.spelled
    if uses.unit.component(e.callee) is None:
        op = _operator(uses, name)
        if op is None:
            uses.unknown_callee(e.callee, known)
            return
        if _refuse(uses, name, e):
            return
        if len(op.streams) > 1:
            _over_streams(uses, e, op, known)
            return
    meant, certain = _piped(e, known)
    _needs_stream(uses, e, meant, certain=certain)


def _over_streams(uses: Uses, e: tree.Call, op: Operator, known: Known) -> None:
    streams, rest = e.arguments[: len(op.streams)], e.arguments[len(op.streams) :]
    if len(streams) < len(op.streams) or any(a.name for a in streams):
        _fail(uses, f"`{op.name}` takes the streams {', '.join(op.streams)} first", e)
        return
    for a in streams:
        check_flow(uses, a.value, known)
    uses.operator_arguments(e, op, rest, known)


def _piped(e: tree.Call, known: Known) -> tuple[str, bool]:
    """How a call over one stream is written, `x |> op(...)`, and whether that is certain."""
    first = e.arguments[0].value if e.arguments and e.arguments[0].name is None else None
    tapped = isinstance(first, tree.Name) and isinstance(known.find(first.id), tree.Tap)
    has_stream = tapped or isinstance(first, tree.It | tree.Pipe)
    stream = first.span.text if first is not None and has_stream else "it"
    inside = ", ".join(a.span.text for a in e.arguments[1 if has_stream else 0 :])
    meant = f"{stream} |> {e.callee.spelled}" + (f"({inside})" if inside else "")
    return meant, has_stream
