"""Run every fuzz target for a bounded time: `python -m fuzz [SECONDS] [TARGET]...`, 60 s for each target by default.

What the targets learn is kept in `.fuzz/<target>`, a finding is left in `.fuzz/<target>.crash-…`.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from fuzz.seeds import write_dictionary, write_seeds


def main(argv: list[str]) -> int:
    """Run the targets one after another; 0 if none found anything."""
    seconds = int(argv[1]) if len(argv) > 1 else 60
    here = Path(__file__).parent
    place = here.parent / ".fuzz"
    worst = 0
    for target in argv[2:] or sorted(file.stem for file in here.glob("fuzz_*.py")):
        corpus, seeds, words = place / target, place / f"{target}.seeds", place / "words.dict"
        corpus.mkdir(parents=True, exist_ok=True)
        write_seeds(target, seeds)
        write_dictionary(words)
        limits = [
            f"-max_total_time={seconds}",
            "-max_len=4096",
            "-timeout=10",
            "-print_final_stats=1",
            f"-verbosity={int(sys.stdout.isatty())}",  # a log of every new input would bury all else
            f"-dict={words}",
        ]
        command = [
            sys.executable,
            "-m",
            f"fuzz.{target}",
            *limits,
            f"-artifact_prefix={corpus}.",
            str(corpus),
            str(seeds),
        ]
        worst = max(worst, abs(subprocess.run(command, cwd=here.parent, check=False).returncode))
    return min(worst, 1)


if __name__ == "__main__":
    sys.exit(main(sys.argv))
