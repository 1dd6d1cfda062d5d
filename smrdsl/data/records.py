"""co2 and sunspots: records of the world, cut in time into three parts, to say the value of the next sample.

co2 is weekly, with real gaps of up to 19 weeks; a timed model gets them as they are. Every window counts from its own
first value, so that the record's rise leads nowhere new, and errors are told in the record's unit.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from pydantic import Field

from smrdsl.data.contract import Array, Data, DataSet, Options, Part, Request
from smrdsl.data.extras import needs
from smrdsl.data.splits import shares_of_record, windows

SHARES = (0.7, 0.15, 0.15)


class RecordOptions(Options):
    stride: int = Field(default=4, gt=0, description="A window begins so many samples behind the one before it.")


def make(name: str, unit: str, value: Array, time: Array | None, length: int, stride: int, *, own: bool) -> Data:
    """Windows of a record, each with the values of the next samples; `own` counts them from their first value.

    Values are in units of the standard deviation of the training part's steps, or of the record itself.
    """
    parts = []
    for stretch in shares_of_record(len(value) - 1, length, name, SHARES):
        u, y = value[:-1][stretch, None], value[1:][stretch, None]
        part = windows(u, y, None if time is None else time[:-1][stretch], length, stride)
        first = part.u[:, :1] if own else np.zeros((1, 1, 1))
        parts.append((part, first))
    train, first = parts[0]
    scale = float((train.u - first).std())
    middle = 0.0 if own else float(train.u.mean())
    made = [
        Part(
            ((part.u - first - middle) / scale).astype(np.float32),
            ((part.y - first - middle) / scale).astype(np.float32),
            part.t,
        )
        for part, first in parts
    ]
    train, valid, test = made
    return Data(name, train, valid, test, scale=scale, unit=unit, ahead=True)


def _table(module: Any) -> Any:
    return module.load_pandas().data


def co2(options: RecordOptions, request: Request) -> Data:
    """Weeks without a value are left out: they are the gaps."""
    with needs("statsmodels", "co2"):
        from statsmodels.datasets import co2
    table = _table(co2)["co2"].dropna()
    days = (table.index - table.index[0]).days.to_numpy().astype(float)
    return make("co2", "ppm", table.to_numpy(), days, request.length or 104, options.stride, own=True)


def sunspots(options: RecordOptions, request: Request) -> Data:
    with needs("statsmodels", "sunspots"):
        from statsmodels.datasets import sunspots
    value = _table(sunspots)["SUNACTIVITY"].to_numpy()
    return make("sunspots", "spots", value, None, request.length or 32, options.stride, own=False)


DATASETS = (
    DataSet("co2", "Weekly CO2 of Mauna Loa 1958-2001, with gaps: the next value.", co2, RecordOptions),
    DataSet("sunspots", "Yearly sunspots 1700-2008: the next value.", sunspots, RecordOptions),
)
