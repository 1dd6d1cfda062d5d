"""Mistakes at run time, told with the line of the spec."""

from __future__ import annotations

from smrdsl.core.errors import SmrError


class InputError(SmrError, ValueError):
    """An input, state or option that does not fit the model."""


class StepError(SmrError, RuntimeError):
    """The model cannot be stepped; the message names the operator that looks ahead."""


class WeightsError(SmrError, ValueError):
    """Weights that do not fit the model; the message names the key, the wanted and the found shape."""
