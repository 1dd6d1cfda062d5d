"""`smrdsl.train`: a spec or a model, the name of some data, and a trained model with its figures comes back."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from smrdsl.core.errors import SmrError
from smrdsl.training.job import METRICS, PACKAGE, Job, Ready, Tell, prepare, silent
from smrdsl.training.settings import settings_from

if TYPE_CHECKING:
    from smrdsl.runtime.model import CompiledModel
    from smrdsl.training.run import Trained


def train(
    model: str | os.PathLike[str] | CompiledModel,
    data: str | os.PathLike[str],
    *,
    name: str | None = None,
    set: Mapping[str, Any] | None = None,
    options: Mapping[str, Any] | None = None,
    length: int | None = None,
    memory: int | str | None = None,
    out: str | os.PathLike[str] | None = None,
    resume: bool = False,
    quiet: bool = True,
    tell: Tell = silent,
    **settings: Any,
) -> Trained:
    """Train a model of a spec, or one that was compiled, which is then changed.

    data: a name (`digits`, `text:notes/`, ...) or the path of an npz file; options: the data set's. name, set: of the
    model in the file. length: of the sequences, where the data has none of its own.
    memory: what the peak has to fit in, such as "2GiB". out: the folder for checkpoints,
    logs, metrics.json and the package, by default build/train/<model>; resume: go on with what is in it. settings:
    those of `smrdsl.training.settings.Settings` (lr, batch, epochs, devices, ...). Returns the model with its best
    weights, in evaluation mode, its metrics and the folder. Raises `SmrError`.
    """
    from smrdsl.compiler import compile_lowered, lower_source, values
    from smrdsl.spec.files import read_source
    from smrdsl.spec.limits import Limits

    where = None if out is None else os.fspath(out)
    job = Job(data=os.fspath(data), options=dict(options or {}), length=length, out=where, resume=resume, quiet=quiet,
              settings=settings_from(settings))  # fmt: skip
    if not isinstance(model, str | os.PathLike):
        return start(model, prepare(model.graph, job, tell))
    source = read_source(Path(model), Limits().text)
    lowered = lower_source(source, Path(model), model=name, set=values(set))
    ready = prepare(lowered.graph, job, tell)
    return start(compile_lowered(lowered, memory=memory, **conditions(ready)), ready)


def conditions(ready: Ready) -> dict[str, Any]:
    """What to compile the model for."""
    s, u = ready.job.settings, ready.data.train.u
    length = u.shape[-1] if u.dtype.kind != "f" else u.shape[-2]
    return {
        "length": max(1, length),
        "batch": max(1, s.batch // (s.devices * s.nodes)),
        "mode": "train",
        "seed": s.seed,
        "dtype": "float64" if s.precision == "64" else "float32",
    }


def need_lightning() -> None:
    """Raise `SmrError` where it is not there."""
    try:
        import lightning.pytorch  # noqa: F401
    except ImportError:
        raise SmrError('training needs Lightning: pip install "smrdsl[train]"') from None


def start(model: CompiledModel, ready: Ready) -> Trained:
    """Train here, or in processes that are started for it. Raises `SmrError`."""
    need_lightning()
    from smrdsl.training.run import Trained, rank_here, run

    if not any(p.requires_grad for p in model.parameters()):
        where = ready.graph.node(ready.graph.output).location
        raise SmrError(f"{where}: `{ready.graph.name}` has no weights, so that nothing can be learned: add a `linear`")
    s = ready.job.settings
    started_by_others = "LOCAL_RANK" in os.environ or "SLURM_PROCID" in os.environ
    if s.devices * s.nodes == 1 or started_by_others:
        trained = run(model, ready, rank_here())
        return trained or Trained(model, {}, ready.out)
    if s.nodes > 1:
        raise SmrError(f"on {s.nodes} machines, start smrdsl on each by torchrun or a cluster (docs/training.md)")
    return _in_processes(model, ready)


def _in_processes(model: CompiledModel, ready: Ready) -> Trained:
    from smrdsl.runtime.package import load_package, save_package
    from smrdsl.training.launch import launch
    from smrdsl.training.run import Trained

    with tempfile.TemporaryDirectory(prefix="smrdsl-start-") as place:
        package = save_package(model, Path(place) / "model")
        launch(ready.job.model_copy(update={"package": str(package)}))
    metrics = json.loads((ready.out / METRICS).read_text(encoding="utf-8"))
    return Trained(load_package(ready.out / PACKAGE), metrics, ready.out)
