"""Where Triton kernels run, and which one stands in for which native kernel.

A kernel of Triton is called as the native kernel of the same name is (`native_calls.py`): the same whole numbers, the
same tensors, results last. So both share their operators of torch, with all that these promise. Triton itself is
imported when the first kernel runs, never on a CPU.
"""

from __future__ import annotations

from importlib import import_module

import torch
from torch import Tensor

from smrdsl import native

DEVICES = {"cuda"}
"""Where tensors are when Triton is to work on them; what torch builds for ROCm is called so too."""
THERE = native.gpu_available()
LEAST = 8
"""The compute capability from which on Triton supports a card of NVIDIA's."""
PLACES = {
    "diagonal_forward": ("triton_bank", "forward"),
    "diagonal_backward": ("triton_bank_back", "backward"),
    "modes_forward": ("triton_modes", "forward"),
    "modes_backward": ("triton_modes", "backward"),
    "selective_forward": ("triton_selective", "forward"),
    "selective_backward": ("triton_selective_back", "backward"),
    "taps_forward": ("triton_taps", "forward"),
    "taps_backward": ("triton_taps", "backward"),
}
"""Module and function, by the name of the native kernel. Systems of low rank have none: there, FFTs are quicker."""
DTYPES = (torch.float32, torch.bfloat16)
"""What streams may come in; inside all is float32."""


def can_run(x: Tensor) -> bool:
    """Whether kernels of Triton run on a tensor, where it lies and as what."""
    return THERE and x.device.type in DEVICES and x.dtype in DTYPES and new_enough(x.device)


def new_enough(device: torch.device) -> bool:
    if device.type != "cuda" or torch.version.hip is not None:
        return True
    return torch.cuda.get_device_properties(device).major >= LEAST


def launch(name: str, on: torch.device, *arguments: int | Tensor | None) -> None:
    """Run the kernel of that name on a device."""
    module, function = PLACES[name]
    run = getattr(import_module(f"smrdsl.kernels.{module}"), function)
    if on.type == "cpu":  # in Triton's interpreter
        run(*arguments)
        return
    with torch.cuda.device(on):
        run(*arguments)
