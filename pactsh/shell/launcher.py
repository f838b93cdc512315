"""Writes the `pactsh` program: a script that starts the interpreter isolated and without `site`.

`python -m pactsh.shell.launcher .venv/bin/pactsh` replaces the console script that pip makes, for
two reasons. Isolation (-I): PYTHONPATH, PYTHONSTARTUP or PYTHONHOME in a user's environment must
not put code into a login shell. Speed (-S): `site` reads every .pth file of the environment and
pip's script imports `re`, together as long as the interpreter's own start.
"""

from __future__ import annotations

import os
import sys
import sysconfig

import pactsh

_SHEBANG_LIMIT_BYTES = 127  # Linux before 5.1 cuts the line there (execve(2))

_TEMPLATE = """\
#!{interpreter} -ISXutf8
import sys
sys.path.insert(0, {package_parent!r})
from pactsh.shell.entry import main
main({site_packages!r})
"""


def launcher_text(interpreter: str, package_parent: str, site_packages: tuple[str, ...]) -> str:
    """Return the script. `site_packages` joins sys.path only when the prompt needs it.

    Raises ValueError when the kernel can't run such an interpreter line.
    """
    if any(character.isspace() for character in interpreter):
        raise ValueError(f"{interpreter}: a path with spaces can't stand in an interpreter line")
    if len(os.fsencode(f"#!{interpreter} -ISXutf8")) > _SHEBANG_LIMIT_BYTES:
        raise ValueError(f"{interpreter}: too long for an interpreter line")
    return _TEMPLATE.format(interpreter=interpreter, package_parent=package_parent, site_packages=site_packages)


def write_launcher(path: str) -> None:
    """Write the script for this interpreter and this installation, replacing `path` at once."""
    parent = os.path.dirname(os.path.dirname(os.path.abspath(pactsh.__file__)))
    places = tuple(dict.fromkeys(sysconfig.get_path(name) for name in ("purelib", "platlib")))
    text = launcher_text(os.path.abspath(sys.executable), parent, places)
    unfinished = f"{path}.new"
    with open(unfinished, "w", encoding="utf-8") as file:
        file.write(text)
        os.fchmod(file.fileno(), 0o755)
    os.replace(unfinished, path)


def main() -> int:
    """Write the launcher to the path given as the one argument."""
    if len(sys.argv) != 2:
        sys.stderr.write("usage: python -m pactsh.shell.launcher FILE\n")
        return 1
    try:
        write_launcher(sys.argv[1])
    except (OSError, ValueError) as error:
        sys.stderr.write(f"pact: launcher: {error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
