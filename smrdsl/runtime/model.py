"""CompiledModel: a model as an nn.Module, in parallel, in chunks and step by step, with the same weights."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import torch
from torch import Tensor, fx, nn

from smrdsl.core.errors import SmrError
from smrdsl.graph.cost import rows
from smrdsl.graph.graph import Graph
from smrdsl.kernels.lengths import put_out
from smrdsl.lowering.layers import initial_state, nest, set_strategies
from smrdsl.lowering.recompute import recompute
from smrdsl.lowering.stages import to_stages
from smrdsl.lowering.to_fx import FORMS, FUSED, failed_at, fused_layers, to_fx
from smrdsl.passes.contract import Watch
from smrdsl.passes.order import executed
from smrdsl.plan.plan import Plan, make_plan
from smrdsl.runtime.conditions import conditions
from smrdsl.runtime.errors import InputError, StepError
from smrdsl.runtime.generate import generate
from smrdsl.runtime.groups import SSM_RATE, parameter_groups
from smrdsl.runtime.inputs import Inputs, State
from smrdsl.runtime.stream import Stream


class CompiledModel(nn.Module):
    """A compiled spec.

    `model(u)` takes (batch, length, channels), or (batch, length) whole numbers after `tokens`, of any
    length; `step` takes one sample without the time axis. State is a flat dict of path to tensor, batch axis
    first; it goes in and comes out, and is never changed in place. Names in `state_dict` are the paths of the
    spec. A model of pairs takes an axis of 2 behind the batch, in all that is given for each sequence.
    """

    def __init__(
        self,
        graph: Graph,
        layers: Mapping[str, nn.Module],
        plan: Plan,
        text: str = "",
        watch: Watch | None = None,
    ) -> None:
        super().__init__()
        self._graph = graph
        self._plan = plan
        self._text = text
        self._inputs = Inputs(graph)
        self._kept = {key: graph.state(key) for key in graph.keys if graph.state(key)}
        self._forms: dict[str, fx.GraphModule] = {}
        for name, child in nest(layers).named_children():
            if hasattr(type(self), name) or name in self.__dict__:
                raise SmrError(f"every compiled model has an attribute `{name}`: label that step otherwise")
            self._modules[name] = child
        self._execute(watch)

    def _execute(self, watch: Watch | None = None) -> None:
        """Run as the plan says: each core by its strategy, and as one what runs faster so."""
        set_strategies(self, self._plan.strategies)
        self._executed = executed(self._graph, self._plan, watch)
        self._modules[FUSED] = fused_layers(self._executed)
        self._forms = self._write_forms()

    def _write_forms(self) -> dict[str, fx.GraphModule]:
        """The forms, over these very modules: a layer that a user replaces is replaced in all of them."""
        forms = FORMS if not self._graph.look_ahead() else FORMS[:1]
        written = {form: to_fx(self._executed, self, form) for form in forms}
        for module in written.values():
            module._modules = self._modules
        recompute(written["parallel"], [region.keys for region in self._plan.recompute])
        return written

    def __getstate__(self) -> dict[str, Any]:
        state = super().__getstate__()
        return {name: value for name, value in state.items() if name != "_forms"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """A copy writes its forms anew, over its own modules."""
        super().__setstate__(state)
        self._forms = self._write_forms()

    @property
    def graph(self) -> Graph:
        """The model as a graph, after the passes."""
        return self._graph

    @property
    def plan(self) -> Plan:
        """How each core is executed, and why."""
        return self._plan

    @property
    def text(self) -> str:
        """The spec in its canonical form, with imports resolved."""
        return self._text

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
        lengths: Tensor | None = None,
    ) -> Any:
        """The output for a whole sequence, or for the next chunk of one, with the state after it if asked.

        u: (batch, length, channels), or whole numbers (batch, length). dt: (batch, length), the gap before
        each sample relative to the training step, for timed models. rate: scales every step of an untimed
        one. state: from `initial_state`, or what an earlier call returned. lengths: (batch,), how many samples
        of each sequence count, in a batch padded behind them; the outputs there are of no meaning. Raises
        `InputError` for what does not fit the model, with the line of the spec.
        """
        self._inputs.check(u, sequence=True)
        if lengths is not None:
            if state is not None or return_state:
                raise InputError("lengths are for whole sequences: feed a padded batch without state and return_state")
            return self._padded(u, dt, rate, lengths)
        clock = self._inputs.clock(u, dt, rate)
        if state is None and not return_state:
            return self._run("parallel", u, **clock)
        self._form("chunk")
        if state is None:
            state = self.initial_state(u.shape[0], u.device)
        self._inputs.check_state(state, u.shape[0])
        y, after = self._run("chunk", u, state, **clock)
        return (y, after) if return_state else y

    def _padded(self, u: Tensor, dt: Tensor | None, rate: float | Tensor | None, lengths: Tensor) -> Any:
        """The output for a padded batch. What stands behind the ends is put out at once, so that it reaches nothing."""
        lengths = self._inputs.lengths(u, lengths)
        gaps = isinstance(dt, Tensor) and dt.shape[:-1] == lengths.shape  # others are refused as they are
        silent, put_right = put_out(u, dt if gaps else None, lengths)
        clock = self._inputs.clock(u, put_right if gaps else dt, rate)
        minded = {"lengths": lengths} if self._inputs.minds_lengths else {}
        return self._run("parallel", silent, **clock, **minded)

    def step(
        self,
        u: Tensor,
        state: State,
        dt: Tensor | None = None,
        *,
        rate: float | Tensor | None = None,
    ) -> tuple[Tensor, State]:
        """One sample: u (batch, channels), or whole numbers (batch,). The output has no time axis.

        dt: (batch,). Raises `StepError` where an operator looks ahead, `InputError` as `forward` does.
        """
        self._form("step")
        self._inputs.check(u, sequence=False)
        self._inputs.check_state(state, u.shape[0])
        return self._run("step", u, state, **self._inputs.clock(u, dt, rate))

    def initial_state(
        self, batch_size: int, device: torch.device | str | None = None, dtype: torch.dtype | None = None
    ) -> State:
        """The state before the first sample. Device and dtype are the weights' unless given."""
        self._form("step")
        if batch_size < 0:
            raise InputError(f"the batch size must be at least 0, this is {batch_size}")
        some = next(self.parameters(), torch.empty(0))
        place = torch.device(device) if device is not None else some.device
        return initial_state(self, self._kept, self._inputs.rows(batch_size), place, dtype or some.dtype)

    def stream(self, batch_size: int = 1, *, frozen: bool = False) -> Stream:
        """The model as a function of the next sample or chunk, which keeps its own state.

        frozen: no weight changes while it runs, so that a step need not look at them.
        """
        return Stream(self, batch_size, frozen=frozen)

    def generate(self, prompt: Tensor, length: int, **options: Any) -> Tensor:
        """A token model writes on: the prompt (batch, length) with `length` more tokens; the step keeps its cost.

        options: temperature (0: the likeliest), top_k, top_p, seed, stop; see `smrdsl.runtime.generate`.
        """
        return generate(self, prompt, length, **options)

    def replan(self, **changes: Any) -> Plan:
        """Plan anew for another length, batch, mode, dtype or device, and execute so. Raises `SmrError`."""
        wanted = conditions(**{**asdict(self.plan.conditions), **changes})
        self._plan = make_plan(self.graph, wanted)
        self._execute()
        return self._plan

    def stages(self, count: int) -> list[fx.GraphModule]:
        """The model in `count` parts that run one behind the other, for `torch.distributed.pipelining`.

        Each is a module with the layers of this model that it runs, takes what the one before it gives, and takes about
        as long as the others. Raises `SmrError` where the model cannot be cut so.
        """
        flops = {row.path: row.flops for row in rows(self.graph, self.plan.conditions.length)}
        work = {k: sum(flops[h.key] for h in n.fusion.holds) if n.fusion else flops[k] for k, n, _ in self._executed}
        return to_stages(self._executed, self, count, work)

    def parameter_groups(self, lr: float, weight_decay: float, ssm_lr: float = SSM_RATE) -> list[dict[str, Any]]:
        """Optimiser groups as the papers prescribe them per operator, for `torch.optim.AdamW` and its kin.

        ssm_lr: the rate of A, B and the step where the paper has one of their own (S4, S5), at most lr.
        """
        return parameter_groups(self, lr, weight_decay, ssm_lr)

    def save(self, folder: str | os.PathLike[str]) -> None:
        """Write the model as a package that Python imports; it replaces only a package of ours."""
        from smrdsl.runtime.package import save_package

        save_package(self, folder)

    def save_pretrained(self, folder: str | os.PathLike[str]) -> None:
        """Write the model as `transformers` loads it. Raises `SmrError` where that has no such model."""
        from smrdsl.runtime.checkpoint import save_pretrained

        save_pretrained(self, self.graph, folder)

    # --- running a form, with mistakes told in the user's terms

    def _form(self, form: str) -> fx.GraphModule:
        if form not in self._forms:
            raise StepError(_looks_ahead(self.graph))
        return self._forms[form]

    def _run(self, form: str, *inputs: Any, **clock: Any) -> Any:
        """Run a form's own code: called as a module, fx would write to standard error where it fails."""
        run = self._forms[form].forward
        if torch.compiler.is_compiling():
            return run(*inputs, **clock)
        try:
            return run(*inputs, **clock)
        except Exception as error:
            place = failed_at(self._forms[form], error)
            if place is None or type(error).__module__.partition(".")[0] == "torch":
                raise  # out of memory, or what steers torch itself
            key, where = place
            raise InputError(f"{where}: {where.text} ({key}): {self._reason(error, inputs[0])}") from error

    def _reason(self, error: Exception, u: Tensor) -> str:
        """What an operator said, and whether the cause may be the type of the numbers."""
        reason = str(error).partition("\n")[0]
        if not isinstance(error, SmrError | RuntimeError):
            reason = f"{type(error).__name__}: {reason}"
        weights = next((p.dtype for p in self.parameters()), u.dtype)
        if u.is_floating_point() and u.dtype != weights:
            reason += f"; the input is {u.dtype}, the weights are {weights}"
        return reason


def _looks_ahead(g: Graph) -> str:
    """Which operators keep a model from being stepped, where they stand, and what to do."""
    told = dict.fromkeys(f"`{_spoken(g, key)}` at {g.node(key).location}{_why(g, key)}" for key in g.look_ahead())
    why = f"{', '.join(told)} looks ahead or has no step"
    return f"the model cannot be stepped or streamed: {why}; use model(u)"


def _spoken(g: Graph, key: str) -> str:
    """How the user wrote the operator: the reversal belongs to `bidirectional`."""
    op = g.node(key).op
    return "bidirectional" if op.structural else op.name


def _why(g: Graph, key: str) -> str:
    """What the operator says of it, in brackets."""
    node = g.node(key)
    why = node.op.why_ahead(node.params)
    return f" ({why})" if why else ""
