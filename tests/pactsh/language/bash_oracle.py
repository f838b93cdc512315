"""What real bash makes of a line: every command it would run, as argv, on a prepared directory.

In that bash no command exists: builtins are disabled, PATH is empty, and functions or the not-found handler
write down the words they were called with. `expected` computes the same from `pactsh.language`.
"""

# ruff: noqa: E501  (tables of samples)

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from pactsh.language import Item, Line, Refused, Stage, expand_redirect, expand_stage

BASH = shutil.which("bash") or "/bin/bash"
COMMANDS = ("ls", "cat", "grep", "echo", "sort", "ps", "true", "test", "cd", "dmesg")
RESERVED = frozenset(["printf", "eval", "read", "note", "command_not_found_handle"])  # the oracle's own

NAMES: tuple[bytes, ...] = (
    b"a", b"b", b"ab", b"abc", b"B", b"Abc", b"z.log", b"y.log", b"1.log", b"10.log", b"x y", b"x;y", b"-rf", b"--help",
    b".hid", b".log", b"..x", b"star*", b"q?", b"[a]", b"a]b", b"a-b", b"a^b", b"!x", b"it's", b'say"', b"back\\slash",
    b"new\nline", b"\xc3\xa9t\xc3\xa9", b"\xc3\xa9", b"bad\xff.log", b"\xff", b"\xc3\xa9\xff", b"{x}", b"~t", b"$HOME", b"#c", b"a=b", b"k:v",
    b"dir/a", b"dir/.h", b"dir/b.log", b"dir/sub/a", b"dir/sub/x y", b"d2/a", b"d2/sub/a", b"d2/-n", b"d 3/a", b".dot/a", b"empty/",
    b"\xe4\xb8\xad/a", b"[a/b]c", b"[a/x", b"abc.d/1",
)  # fmt: skip

_PROLOGUE = """
note() {{ printf '%s\\0' "$#" "$@" >>"$record/$number.$rc.$BASHPID"; (( ! rc )); }}
command_not_found_handle() {{ note "$@"; }}
{functions}
set +H
for name in $(compgen -b); do
  case $name in printf|eval|read|enable) ;; *) enable -n "$name" ;; esac
done
enable -n enable
number=0
while IFS= read -r -d '' -u 8 line; do
  for rc in 0 1; do
    (( ! rc ))
    eval -- "$line" </dev/null
  done
  (( number++ ))
done
printf end
"""


def make_tree(root: Path) -> None:
    """Fill `root` with files, directories and links whose names are awkward."""
    base = os.fsencode(root)
    for name in NAMES:
        path = os.path.join(base, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        if not name.endswith(b"/"):
            with open(path, "wb") as file:
                file.write(name)
    os.symlink("nowhere", root / "dangling")
    os.symlink("dir", root / "link")


def values(root: Path, number: int = 0) -> dict[str, str]:
    """The variables of a session; other numbers give less friendly values."""
    odd = [
        {"HOME": "/", "USER": "admin", "HOSTNAME": "node042", "PACT_NODE": "node042", "PACT_VCLUSTER": "ml"},
        {"HOME": str(root), "USER": " a  b ", "HOSTNAME": "*.log", "PACT_NODE": "-rf", "PACT_VCLUSTER": ""},
        {"HOME": "d 3", "USER": "[a-b]", "HOSTNAME": "\t", "PACT_NODE": "a\nb *", "PACT_VCLUSTER": "\\*"},
        {"HOME": "dir/", "USER": "a\\", "HOSTNAME": "[a]*", "PACT_NODE": "?", "PACT_VCLUSTER": "'x' \"y\" $HOME `z`"},
    ]
    return odd[number % len(odd)]


class RealListing:
    """`Listing` on a directory of the test; `strayed` once a directory was read that others may be changing."""

    def __init__(self, root: Path) -> None:
        self.root = os.path.realpath(root)
        self.strayed = False

    def _path(self, path: str) -> bytes:
        return os.path.join(os.fsencode(self.root), path.encode("utf-8", "surrogateescape"))

    def entries(self, directory: str) -> Sequence[str]:
        real = os.path.realpath(self._path(directory)).decode("utf-8", "surrogateescape")
        still = real in ("/", os.path.dirname(self.root)) or (real + "/").startswith(self.root + "/")
        self.strayed = self.strayed or not still
        try:
            return [name.decode("utf-8", "surrogateescape") for name in os.listdir(self._path(directory))]
        except OSError:
            return []

    def exists(self, path: str) -> bool:
        return os.path.lexists(self._path(path))

    def is_dir(self, path: str) -> bool:
        return os.path.isdir(self._path(path))


Runs = list[list[str]]  # the argv of all commands that ran, in no particular order


def bash_runs(lines: Sequence[str], root: Path, variables: Mapping[str, str]) -> list[tuple[Runs, Runs]]:
    """For each line what runs when every command succeeds, and when every command fails with 1."""
    functions = "\n".join(f'{name}() {{ note {name} "$@"; }}' for name in COMMANDS)
    prologue = _PROLOGUE.format(functions=functions)
    record, script = root.parent / "record", root.parent / "lines"
    shutil.rmtree(record, ignore_errors=True)
    record.mkdir()
    script.write_bytes(b"".join(line.encode() + b"\0" for line in lines))
    environment = {"LC_ALL": "C.UTF-8", "PATH": "/nonexistent", **variables}
    arguments = 'exec 8<"$1"; record=$2; cd "$3"; shift 3\n'
    done = subprocess.run(
        [BASH, "--noprofile", "--norc", "-c", arguments + prologue, "bash", script, record, root],
        env=environment, stdin=subprocess.DEVNULL, capture_output=True, timeout=100, check=False,
    )  # fmt: skip
    assert done.stdout.endswith(b"end"), f"bash ended early: {done.stderr[-500:]!r}"
    results: list[tuple[Runs, Runs]] = [([], []) for _ in lines]
    for file in record.iterdir():  # one for each process, as pipelines write at the same time
        number, status, _ = file.name.split(".")
        words = file.read_bytes().decode("utf-8", "surrogateescape").split("\0")
        index = 0
        while index < len(words) - 1:
            end = index + 1 + int(words[index])
            results[int(number)][int(status)].append(words[index + 1 : end])
            index = end
    return [(sorted(ok), sorted(failed)) for ok, failed in results]


def expected(line: Line, root: Path, variables: Mapping[str, str], status: int) -> Runs | None:
    """The same from our side: what runs when every command ends with `status`.

    None if a pattern led out of the tree (`/*/*` lists /proc), where two looks need not see the same.
    """
    listing = RealListing(root)
    last = status  # what the loop's (( ! rc )) leaves in $?
    runs: Runs = []
    for item in line.items:
        if _skipped(item, last):
            continue
        current = {**variables, "?": str(last)}
        for stage in item.pipeline.stages:
            last = status
            if not _opens(stage, current, listing):
                last = 1
                continue
            runs.append([word.value for word in expand_stage(stage, current, listing)])
    return None if listing.strayed else sorted(runs)


def _skipped(item: Item, last: int) -> bool:
    return (item.op == "&&" and last != 0) or (item.op == "||" and last == 0)


def _opens(stage: Stage, variables: Mapping[str, str], listing: RealListing) -> bool:
    for redirect in stage.redirects:
        if redirect.kind == "in":
            try:
                path = expand_redirect(redirect, variables, listing)
            except Refused:
                return False
            if not os.path.exists(listing._path(path)) or path == "":
                return False
    return True
