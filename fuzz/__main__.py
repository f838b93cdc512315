"""Run every fuzz target for a bounded time: `python -m fuzz [SECONDS]`, 60 s for each target by default.

What the targets learn is kept in `.fuzz/<target>`, a finding is left in `.fuzz/<target>.crash-…`.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path


def main(argv: list[str]) -> int:
    """Run the targets one after another; 0 if none found anything."""
    seconds = int(argv[1]) if len(argv) > 1 else 60
    here = Path(__file__).parent
    worst = 0
    for target in sorted(here.glob("fuzz_*.py")):
        corpus = here.parent / ".fuzz" / target.stem
        corpus.mkdir(parents=True, exist_ok=True)
        limits = [f"-max_total_time={seconds}", "-max_len=4096", "-timeout=10", "-print_final_stats=1"]
        command = [sys.executable, str(target), *limits, f"-artifact_prefix={corpus}.", str(corpus)]
        worst = max(worst, abs(subprocess.run(command, cwd=here.parent, check=False).returncode))
    return min(worst, 1)


if __name__ == "__main__":
    sys.exit(main(sys.argv))
