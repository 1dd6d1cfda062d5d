"""ops: the operators, one place each, and the contract they share. Nothing outside an operator's place names it.

`smrdsl.ops()` gives the registry: every operator by name.
"""

from __future__ import annotations

import sys
from types import ModuleType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from smrdsl.ops.contract import Operator


class _Callable(ModuleType):
    """The room and the public function have one name, so the room can be called."""

    def __call__(self) -> dict[str, Operator]:
        from smrdsl.ops.registry import operators

        return operators()


sys.modules[__name__].__class__ = _Callable
