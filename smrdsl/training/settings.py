"""How a model is trained: all that has an influence on the numbers, and the few things that have none."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from smrdsl.core.errors import SmrError, did_you_mean

FREE = ("patience", "save_every", "log", "devices", "nodes", "strategy", "timeout")
"""What may be another when a training is resumed: numbers do not follow from it, but for rounding and for dropout."""


class Settings(BaseModel):
    """The settings of a training; descriptions of the fields are the manual."""

    model_config: ClassVar[ConfigDict] = ConfigDict(extra="forbid", frozen=True)

    epochs: int | None = Field(
        default=None, gt=0, description="Passes over the training part; 10 unless max_steps is set."
    )
    max_steps: int | None = Field(default=None, gt=0, description="Updates of the weights, in place of epochs.")
    batch: int = Field(default=32, gt=0, description="Sequences in a batch, over all devices together.")
    accumulate: int = Field(default=1, gt=0, description="Batches whose gradients are added up for one update.")
    lr: float = Field(default=2e-3, gt=0, allow_inf_nan=False, description="The highest learning rate.")
    ssm_lr: float = Field(
        default=1e-3, gt=0, allow_inf_nan=False, description="That of the cores' dynamics, at most lr."
    )
    weight_decay: float = Field(
        default=0.01, ge=0, allow_inf_nan=False, description="AdamW's, where the operators take it."
    )
    schedule: Literal["cosine", "linear", "constant"] = Field(
        default="cosine", description="How the rate falls after warm-up."
    )
    warmup: float = Field(default=0.1, ge=0, lt=1, description="Share of the updates in which the rate rises.")
    clip: float | None = Field(default=1.0, gt=0, description="The largest norm of the gradient; none clips nothing.")
    precision: Literal["32", "bf16", "64"] = Field(default="32", description="bf16: mixed with 32; 64: for checks.")
    augment: str | None = Field(
        default=None, description="A sampling grid of `smrdsl.data.grids` that each batch is drawn on."
    )
    seed: int = Field(default=0, ge=0, description="Of weights, order, dropout and grids.")
    evaluate_every: int | None = Field(default=None, gt=0, description="Batches between evaluations; by default a pass "
                                       "or a twentieth of the training.")  # fmt: skip
    patience: int | None = Field(default=None, gt=0, description="Stop after so many evaluations without a better one.")
    save_every: int | None = Field(default=None, gt=0, description="Also save after each so many updates.")
    log: Literal["csv", "tensorboard", "none"] = Field(default="csv", description="Where losses and rates are written.")
    device: str = Field(default="auto", description="cpu, cuda, or auto: cuda where there is one.")
    devices: int = Field(default=1, gt=0, description="Processes, each with a device of its own.")
    nodes: int = Field(default=1, gt=0, description="Machines, started by torchrun or a cluster.")
    strategy: Literal["auto", "ddp"] = Field(default="auto", description="ddp is the one that there is for several.")
    timeout: float = Field(
        default=60.0, gt=0, le=1e6, description="Seconds that processes wait for each other before they give up."
    )

    def differing(self, earlier: Settings) -> dict[str, tuple[Any, Any]]:
        """What was another in an earlier training, in so far as the numbers follow from it: name -> then, now."""
        then, now = earlier.model_dump(), self.model_dump()
        return {name: (then[name], now[name]) for name in now if name not in FREE and then[name] != now[name]}


def settings_from(given: Mapping[str, Any]) -> Settings:
    """Settings, checked. Raises `SmrError`."""
    for name in given:
        if name not in Settings.model_fields:
            hint = did_you_mean(name, Settings.model_fields) or f"; there are {', '.join(Settings.model_fields)}"
            raise SmrError(f"no setting `{name}`{hint}")
    try:
        settings = Settings.model_validate(dict(given))
    except ValidationError as error:
        first = error.errors()[0]
        raise SmrError(f"{'.'.join(map(str, first['loc']))}: {first['msg']}") from None
    world = settings.devices * settings.nodes
    if settings.batch % world:
        raise SmrError(f"a batch of {settings.batch} sequences cannot be shared out evenly to {world} devices")
    if settings.epochs and settings.max_steps:
        raise SmrError("epochs and max_steps exclude each other: which of them ends the training?")
    if settings.augment is not None:
        from smrdsl.data.grids import grid

        grid(settings.augment)
    return settings
