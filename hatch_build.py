"""The build hook: native kernels are built when smrdsl is installed, where there is a compiler.

Without one, or with a broken one, everything installs all the same and runs on torch alone. After `pip install -e` the
library lies beside its sources. A wheel that holds it is one for this platform, but for any Python.
"""

from __future__ import annotations

import runpy
import sysconfig
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class NativeKernels(BuildHookInterface):
    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        if self.target_name != "wheel":
            return
        folder = Path(self.root) / "smrdsl" / "native"
        # By path: in a build environment smrdsl itself cannot be imported.
        builder = runpy.run_path(str(folder / "build.py"))
        self.app.display_info(builder["build"](folder))
        library, stamp = builder["LIBRARY"], builder["STAMP"]
        build_data["artifacts"] += [f"smrdsl/native/{library}", f"smrdsl/native/{stamp}"]
        if (folder / library).is_file():
            build_data["pure_python"] = False
            build_data["tag"] = f"py3-none-{sysconfig.get_platform().replace('-', '_').replace('.', '_')}"
