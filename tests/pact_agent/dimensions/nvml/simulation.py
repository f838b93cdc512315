"""GPUs for tests: builds the simulated library beside this file, and writes what it answers."""

from __future__ import annotations

import ctypes
import functools
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest

VARIABLE = "PACT_SIMULATED_GPUS"
LIBRARY = "libnvidia-ml.so.1"


def build(directory: Path) -> Path:
    """Make the library in a directory, which may then be in LD_LIBRARY_PATH; skips without a compiler."""
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("building the simulated library takes a C compiler: apt-get install gcc libc6-dev")
    library = directory / LIBRARY
    source = Path(__file__).with_name("simulated.c")
    command = [compiler, "-shared", "-fPIC", "-O1", "-Wall", "-Wextra", "-Werror", f"-Wl,-soname,{LIBRARY}"]
    subprocess.run([*command, "-o", library, source], check=True, timeout=60)
    return library


@functools.cache
def loaded() -> ctypes.CDLL:
    """The library in this process, once: whoever asks for one of its name gets it from now on (dlopen(3): by its
    soname). Skips where the process has that of a real driver."""
    with tempfile.TemporaryDirectory() as directory:
        built = ctypes.CDLL(str(build(Path(directory))))
    if not hasattr(ctypes.CDLL(LIBRARY), "simulated_users"):
        pytest.skip("this process has the library of a real driver")
    return built


class Simulation:
    """The GPUs of a file, which the library reads anew for each answer."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._said: dict[str, object] = {}
        self._events: list[tuple[int, int]] = []

    def say(self, **values: object) -> None:
        """Set values: `say(count=2, g0_ecc_volatile=12)`; None takes one away."""
        for name, value in values.items():
            gpu, _, what = name.partition("_")
            self._said[f"{gpu[1:]}.{what}" if gpu[1:].isdecimal() else name] = value
        lines = [f"{key} {value}\n" for key, value in self._said.items() if value is not None]
        lines += [f"event {gpu} {xid}\n" for gpu, xid in self._events]
        fresh = self.path.with_suffix(".new")
        fresh.write_text("".join(lines))
        fresh.replace(self.path)

    def add(self, number: int, bus: str) -> None:
        """A healthy GPU at an address, with all that a large one has."""
        values: dict[str, object] = dict.fromkeys(
            ("ecc_volatile", "ecc_aggregate", "rows_pending", "rows_failed", "compute"), 0
        )
        values |= {"bus": bus, "persistence": 1, "power": 300000, "events": 8}
        self.say(**{f"g{number}_{what}": value for what, value in values.items()})

    def happen(self, gpu: int, xid: int) -> None:
        """An XID of a GPU."""
        self._events.append((gpu, xid))
        self.say()
