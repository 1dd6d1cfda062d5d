"""CompiledModel: a model as an nn.Module, in parallel, in chunks and step by step, all with the same weights."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, fx, nn

from smrdsl.core.errors import SmrError
from smrdsl.graph.graph import Graph
from smrdsl.lowering.layers import initial_state, nest, set_strategies
from smrdsl.lowering.to_fx import FORMS, Located, to_fx
from smrdsl.plan.plan import Conditions, Plan, make_plan
from smrdsl.runtime.errors import InputError, StepError
from smrdsl.runtime.groups import parameter_groups

State = dict[str, Tensor]


class CompiledModel(nn.Module):
    """A compiled spec.

    `model(u)` takes (batch, length, channels), or (batch, length) whole numbers after `tokens`, of any length; `step` takes
    one sample without the time axis. State is a flat dict of path to tensor, batch axis first; it goes in and comes out,
    and is never changed in place. Names in `state_dict` are the paths of the spec.
    """

    def __init__(self, graph: Graph, layers: Mapping[str, nn.Module], plan: Plan, text: str = "") -> None:
        super().__init__()
        root = nest(layers)
        for name, child in root.named_children():
            self._modules[name] = child
        self._layers = dict(layers)
        set_strategies(self._layers, plan.strategies)
        self._forms = {form: to_fx(graph, root, form) for form in FORMS if _has(graph, form)}
        self.graph = graph
        self.plan = plan
        self.text = text
        self._input = graph.node(graph.input)
        self._timed = graph.timed
        self._uses_step = any(n.op.uses_step for _, n, _ in graph)
        self._state_keys = tuple(f"{key}.{name}" for key in graph.keys for name in graph.state(key))

    @property
    def fx(self) -> fx.GraphModule:
        """The parallel form."""
        return self._forms["parallel"]

    @property
    def fx_step(self) -> fx.GraphModule:
        """The step. Raises `StepError` where an operator looks ahead."""
        return self._form("step")

    @property
    def source(self) -> str:
        """The model as readable Python."""
        from smrdsl.lowering.source import write_source

        return write_source(self.graph.with_strategies(self.plan.strategies))

    def forward(
        self,
        u: Tensor,
        dt: Tensor | None = None,
        *,
        state: State | None = None,
        return_state: bool = False,
        rate: float | Tensor | None = None,
    ) -> Any:
        """The output for a whole sequence, or for the next chunk of one, with the state after it if asked.

        u: (batch, length, channels), or whole numbers (batch, length). dt: (batch, length), the gap before each sample
        relative to the training step, for timed models. rate: scales every step of an untimed one. state: from
        `initial_state`, or what an earlier call returned. Raises `InputError` for a shape that does not fit.
        """
        self._check(u, sequence=True)
        clock = self._clock(u.shape[:2], dt, rate)
        if state is None and not return_state:
            return self._run("parallel", u, **clock)
        self._form("chunk")
        if state is None:
            state = self.initial_state(u.shape[0], u.device)
        self._check_state(state, u.shape[0])
        y, after = self._run("chunk", u, state, **clock)
        return (y, after) if return_state else y

    def step(
        self,
        u: Tensor,
        state: State,
        dt: Tensor | None = None,
        *,
        rate: float | Tensor | None = None,
    ) -> tuple[Tensor, State]:
        """One sample: u (batch, channels), or whole numbers (batch,); the output without the time axis, and the state."""
        self._form("step")
        self._check(u, sequence=False)
        self._check_state(state, u.shape[0])
        return self._run("step", u, state, **self._clock(u.shape[:1], dt, rate))

    def initial_state(
        self, batch_size: int, device: torch.device | str | None = None, dtype: torch.dtype | None = None
    ) -> State:
        """The state before the first sample. Device and dtype are the weights' unless given."""
        self._form("step")
        some = next(self.parameters(), torch.empty(0))
        place = torch.device(device) if device is not None else some.device
        return initial_state(self.graph, self._layers, batch_size, place, dtype or some.dtype)

    def replan(self, **conditions: Any) -> Plan:
        """Plan anew for another length, batch, mode, dtype or device, and execute so from now on."""
        wanted = replace(self.plan.conditions, **conditions)
        self.plan = make_plan(self.graph, wanted)
        set_strategies(self._layers, self.plan.strategies)
        return self.plan

    def parameter_groups(self, lr: float, weight_decay: float) -> list[dict[str, Any]]:
        """Optimiser groups as the papers prescribe them per operator, for `torch.optim.AdamW` and its kin."""
        return parameter_groups(self, lr, weight_decay)

    def save(self, folder: str | os.PathLike[str]) -> None:
        """Write the model as a package that Python imports. Replaces only a folder that is a package of ours."""
        from smrdsl.runtime.package import save_package

        save_package(self, folder)

    # --- running a form, with mistakes told in the user's terms

    def _form(self, form: str) -> fx.GraphModule:
        if form not in self._forms:
            raise StepError(_looks_ahead(self.graph))
        return self._forms[form]

    def _run(self, form: str, *inputs: Any, **clock: Any) -> Any:
        if torch.compiler.is_compiling():
            return self._forms[form](*inputs, **clock)
        try:
            return self._forms[form](*inputs, **clock)
        except (RuntimeError, IndexError) as error:
            raise self._located(form, error, inputs, clock) from error

    def _located(self, form: str, error: Exception, inputs: tuple[Any, ...], clock: dict[str, Any]) -> Exception:
        """The error with the line of the spec; found by running again, node by node."""
        if isinstance(error, SmrError | torch.cuda.OutOfMemoryError):
            return error
        located = Located(self._forms[form])
        arguments = [*inputs, *clock.values()]
        try:
            with torch.no_grad():
                located.run(*arguments)
        except Exception as second:
            error = second
        if located.failed is None or "spec" not in located.failed.meta:
            return error
        key, where = located.failed.meta["spec"]
        reason = str(error).splitlines()[0]
        return InputError(f"{where}: {where.text} ({key}): {reason}")

    def _check(self, u: Tensor, *, sequence: bool) -> None:
        node = self._input
        dims = [d for d in node.type.dims if sequence or d != "L"]
        wanted = "(" + ", ".join({"B": "batch", "L": "length"}.get(str(d), str(d)) for d in dims) + ")"
        fits = u.dim() == len(dims) and (node.type.kind == "index" or u.shape[-1] == dims[-1])
        if not fits:
            found = tuple(u.shape)
            raise InputError(f"{node.location}: {node.location.text}: the input is {found}, not {wanted}")
        if node.type.kind == "index" and (u.is_floating_point() or u.is_complex()):
            message = f"the input is {u.dtype}; tokens are whole numbers"
            raise InputError(f"{node.location}: {node.location.text}: {message}")

    def _clock(self, shape: torch.Size, dt: Tensor | None, rate: float | Tensor | None) -> dict[str, Any]:
        """What the cores are told about time."""
        if self._timed:
            if rate is not None:
                raise InputError("the model is timed: it takes dt, not rate")
            if dt is None or dt.shape != shape:
                found = "nothing" if dt is None else f"{tuple(dt.shape)}"
                raise InputError(f"the model is timed: dt must be {tuple(shape)}, found {found}")
            return {"dt": dt}
        if dt is not None:
            raise InputError("the model takes no dt; declare its input with timed=true, or pass rate")
        if rate is None:
            return {}
        if not self._uses_step:
            raise InputError("the model has no core that a rate could apply to")
        return {"rate": rate}

    def _check_state(self, state: State, batch: int) -> None:
        for key in self._state_keys:
            if key not in state:
                raise InputError(f"the state lacks {key}: it belongs to another model")
            if state[key].shape[:1] != (batch,):
                raise InputError(f"the state is for {state[key].shape[0]} sequences, the input has {batch}")


def _has(g: Graph, form: str) -> bool:
    return form == "parallel" or not g.look_ahead()


def _looks_ahead(g: Graph) -> str:
    """Which operators keep a model from being stepped, where they stand, and what to do."""
    told = dict.fromkeys(f"`{_spoken(g, key)}` at {g.node(key).location}" for key in g.look_ahead())
    return f"the model cannot be stepped or streamed: {', '.join(told)} looks ahead; use model(u)"


def _spoken(g: Graph, key: str) -> str:
    """How the user wrote the operator: the reversal belongs to `bidirectional`."""
    op = g.node(key).op
    return "bidirectional" if op.structural else op.name
