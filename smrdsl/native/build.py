"""Builds the native kernels: a few C++ files without dependencies -> one shared library, in seconds.

The build hook (`hatch_build.py`) calls `build` when smrdsl is installed, from an environment that holds nothing but the
standard library, so this file imports nothing else. Each source is compiled once for every level, that is, for every
width of vectors; which one runs is found out on the machine that runs it. A stamp beside the library says what it was
built from, or why there is none.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import platform
import shlex
import shutil
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

HERE = Path(__file__).resolve().parent
LIBRARY, STAMP = "kernels.so", "kernels.json"
COMPILERS = ("c++", "g++", "clang++")
SHARED = "dispatch.cpp"
"""Compiled once, for any machine of the architecture; all other sources once for every level."""
FLAGS = (
    "-std=c++17 -O3 -g0 -fPIC -fvisibility=hidden -fno-exceptions -fno-rtti -fno-math-errno -fno-trapping-math "
    "-ffp-contract=fast -Wall -Wno-psabi -Wno-unknown-pragmas"
).split()
"""Nothing that would lose a NaN or an infinity, as -ffast-math does."""
LEVELS: Mapping[str, Sequence[str]] = {
    "generic": (),
    "avx2": ("-mavx2", "-mfma"),
    "avx512": ("-mavx512f", "-mavx512dq", "-mavx512vl", "-mavx512bw", "-mfma", "-mprefer-vector-width=512"),
}
X86 = ("x86_64", "amd64")


class BuildError(Exception):
    """Why there is no library, in a few words."""


def build(folder: Path = HERE, extra: Sequence[str] = (), out: Path | None = None) -> str:
    """Build the library of the sources in `folder` there, or in `out`, and say in one line how it went; never raises.

    `extra` flags go to the compiler and the linker.
    """
    out = out or folder
    try:
        with tempfile.TemporaryDirectory(prefix="smrdsl-") as scratch:
            stamp = _build(folder, Path(scratch), list(extra))
            _put(Path(scratch) / LIBRARY, out / LIBRARY)
        _note(out, stamp)
        return f"native kernels built with {stamp['compiler']} for {', '.join(levels())}"
    except (BuildError, OSError, subprocess.SubprocessError) as error:
        reason = str(error) if isinstance(error, BuildError) else f"{type(error).__name__}: {error}"
    with contextlib.suppress(OSError):
        _note(out, {"failure": reason})
        (out / LIBRARY).unlink(missing_ok=True)
    return f"no native kernels: {reason}; smrdsl works without them, only slower"


def _note(out: Path, stamp: Mapping[str, object]) -> None:
    (out / STAMP).write_text(json.dumps(stamp, indent=1) + "\n", encoding="utf-8")


def levels() -> list[str]:
    """Those of this architecture, the plainest first."""
    return list(LEVELS) if platform.machine().lower() in X86 else ["generic"]


def fingerprint(folder: Path = HERE) -> str:
    """What the sources are: their names and contents."""
    found = hashlib.sha256()
    for file in sources(folder):
        found.update(file.name.encode() + b"\0" + file.read_bytes() + b"\0")
    return found.hexdigest()


def sources(folder: Path = HERE) -> list[Path]:
    return sorted([*folder.glob("*.cpp"), *folder.glob("*.h")])


def digest(library: Path) -> str:
    """What a library is: its contents."""
    return hashlib.sha256(library.read_bytes()).hexdigest()


def _build(folder: Path, scratch: Path, extra: list[str]) -> dict[str, object]:
    """The library in `scratch`, and its stamp."""
    compiler = _compiler(scratch)
    threads = ["-fopenmp"] if _works(compiler, scratch, ["-fopenmp"]) else []
    jobs = [(folder / SHARED, scratch / "dispatch.o", [])]
    for level in levels():
        for source in sorted(folder.glob("*.cpp")):
            if source.name != SHARED:
                flags = [*LEVELS[level], f"-DLEVEL={level}"]
                jobs.append((source, scratch / f"{source.stem}_{level}.o", flags))

    def compile_one(job: tuple[Path, Path, list[str]]) -> None:
        source, target, flags = job
        _run([*compiler, *FLAGS, *threads, *extra, *flags, "-c", str(source), "-o", str(target)])

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        list(pool.map(compile_one, jobs))
    objects = [str(target) for _, target, _ in jobs]
    _run([*compiler, "-shared", *threads, *extra, *objects, "-o", str(scratch / LIBRARY)])
    return {
        "compiler": _name(compiler),
        "levels": levels(),
        "threads": bool(threads),
        "sources": fingerprint(folder),
        "library": digest(scratch / LIBRARY),
    }


def _compiler(scratch: Path) -> list[str]:
    """The first compiler that makes a library: that of the variable CXX, or one of the usual names."""
    asked = shlex.split(os.environ.get("CXX", ""))
    found = [asked] if asked else [[name] for name in COMPILERS]
    found = [command for command in found if shutil.which(command[0])]
    if not found:
        raise BuildError(f"CXX={asked[0]} was not found" if asked else "no compiler was found")
    for command in found:
        if _works(command, scratch, []):
            return command
    raise BuildError(f"{found[0][0]} does not make a library of an empty program")


def _works(compiler: list[str], scratch: Path, flags: list[str]) -> bool:
    """Whether it makes a library of next to nothing with these flags."""
    source = scratch / "try.cpp"
    source.write_text('extern "C" int nothing() { return 0; }\n', encoding="utf-8")
    try:
        _run([*compiler, "-shared", "-fPIC", *flags, str(source), "-o", str(scratch / "try.so")])
    except (BuildError, OSError, subprocess.SubprocessError):
        return False
    return True


def _run(command: list[str]) -> str:
    done = subprocess.run(command, capture_output=True, text=True, errors="replace", timeout=300)
    if done.returncode:
        lines = [line for line in done.stderr.splitlines() if "error" in line] or done.stderr.splitlines()
        raise BuildError(f"{command[0]} failed: {lines[0].strip() if lines else f'exit code {done.returncode}'}")
    return done.stdout


def _name(compiler: list[str]) -> str:
    """`g++ 12.2.0`"""
    first = (_run([*compiler, "--version"]).splitlines() or [""])[0].lower()
    brand = "clang" if "clang" in first else "g++"
    return f"{brand} {_run([*compiler, '-dumpfullversion', '-dumpversion']).strip()}"


def _put(made: Path, place: Path) -> None:
    """Move a file in one go: who has the old one loaded keeps it."""
    passing = place.with_name(f".{place.name}.{os.getpid()}")
    try:
        shutil.copyfile(made, passing)
        os.replace(passing, place)
    finally:
        passing.unlink(missing_ok=True)


if __name__ == "__main__":
    print(build())
