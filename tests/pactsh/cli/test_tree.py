"""The whole tree: each verb has a help text, JSON, a man page and completion, and all of them agree."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path

import click
import pytest

from pactsh.cli.command import Command, Group, global_options
from pactsh.cli.completion import script_for
from pactsh.cli.configured import NEEDS
from pactsh.cli.tree import VERBS, Tree, Verb
from tests.pactsh.cli.program import PACT, clean_environment, run_pact, write_config

ROOT = Path(__file__).parents[3]
FILES = {"bash": "pact.bash", "zsh": "_pact", "fish": "pact.fish"}
BUILT = [verb for verb in VERBS if verb.module]
ENDPOINTS = {"PACT_LATTICE_ENDPOINT": "lattice.example:50051", "PACT_OPENCHAMI_SMD_URL": "https://smd.example"}
# Verbs of the contract (CLI.md).
CONTRACT = """
status diff commit rollback log apply promote watch extend emergency conflicts exec shell service diag cap blacklist
group approve revoke node login logout whoami ssh-config reboot reimage drain undrain cordon uncordon jobs queue cluster
audit accounting health dag budget backup nodes dev session
"""


def walk(path: str, command: click.Command) -> Iterator[tuple[str, click.Command]]:
    yield path, command
    if isinstance(command, click.Group):
        for name, inner in command.commands.items():
            yield from walk(f"{path} {name}", inner)


@pytest.fixture(autouse=True)
def _with_endpoints(monkeypatch: pytest.MonkeyPatch) -> None:
    """All verbs there are can be used."""
    for name, value in ENDPOINTS.items():
        monkeypatch.setenv(name, value)


def loaded(verb: Verb) -> click.Command:
    tree = Tree()
    command = tree.get_command(click.Context(tree, info_name="pact"), verb.name)
    assert command is not None
    return command


by_name = pytest.mark.parametrize("verb", BUILT, ids=lambda verb: verb.name)


def test_every_verb_of_the_contract_is_in_the_list_once() -> None:
    names = [verb.name for verb in VERBS]
    assert len(set(names)) == len(names)
    assert set(CONTRACT.split()) | {"completion", "help"} == set(names)
    assert {verb.needs for verb in VERBS} <= {"", *NEEDS}


@by_name
def test_summary_is_the_first_line_of_the_help(verb: Verb) -> None:
    command = loaded(verb)
    assert command.name == verb.name
    assert (command.help or "").splitlines()[0] == verb.summary
    assert verb.summary.endswith(".")
    assert len(verb.summary) <= 64


@by_name
def test_every_command_takes_the_global_options_and_explains_its_own(verb: Verb) -> None:
    shared = {opt for option in global_options() for opt in option.opts}
    for path, command in walk(verb.name, loaded(verb)):
        options = [p for p in command.params if isinstance(p, click.Option)]
        assert shared <= {opt for option in options for opt in option.opts}, path
        assert [o.name for o in options if not o.help] == [], path
        assert (command.help or "").splitlines()[0].endswith("."), path
        assert isinstance(command, Command | Group), path


@by_name
def test_help_on_the_program(tmp_path: Path, verb: Verb) -> None:
    done = run_pact(tmp_path, verb.name, "--help", env=ENDPOINTS)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(f"Usage: pact {verb.name}")
    assert run_pact(tmp_path, "help", verb.name, env=ENDPOINTS).stdout == done.stdout


def page(name: str, section: int = 1) -> str:
    """The text of a man page without its markup."""
    text = (ROOT / "man" / f"{name}.{section}").read_text(encoding="utf-8")
    text = re.sub(r"^\.\\\".*$", "", text, flags=re.MULTILINE)
    return re.sub(r"\\f[BIR]", "", text).replace("\\-", "-").replace("\\e", "\\").replace("\\&", "")


def options_in(text: str) -> set[str]:
    """The long options that a man page documents: those that stand in the tag of a paragraph."""
    tags = re.findall(r"^\.TP\n\.BR? (.*)$", text, flags=re.MULTILINE)
    return {opt for tag in tags if not tag.startswith("pact") for opt in re.findall(r"(?<![\w-])--[a-z][a-z-]*", tag)}


@by_name
def test_man_page_documents_just_the_options_there_are(verb: Verb) -> None:
    text = page(f"pact-{verb.name}")
    assert f"\npact-{verb.name} - " in text
    there = {
        opt
        for _path, command in walk(verb.name, loaded(verb))
        for p in getattr(command, "own_params", ())
        if isinstance(p, click.Option) and not p.hidden
        for opt in (*p.opts, *p.secondary_opts)
        if opt.startswith("--")
    }
    assert options_in(text) == there


def test_man_page_of_pact_names_every_verb_and_global_option() -> None:
    text = page("pact")
    assert [v.name for v in BUILT if f".BR pact-{v.name} (1)\n{v.summary}" not in text] == []
    shared = {opt for option in global_options() for opt in option.opts if opt.startswith("--")}
    assert options_in(text) == shared | {"--version", "--help"}


def test_there_is_no_man_page_of_a_verb_that_is_not_there() -> None:
    pages = {path.stem for path in (ROOT / "man").glob("pact-*.1")}
    assert pages == {f"pact-{verb.name}" for verb in BUILT}


def test_man_page_of_exit_codes_is_the_table() -> None:
    from pactsh.errors import CLASSES

    text = page("pact-exit-codes", 7)
    assert [c.kind for c in CLASSES if c.kind not in text or f".B {c.code}\n" not in text] == []


@pytest.mark.parametrize("path", sorted((ROOT / "man").iterdir()), ids=lambda path: path.name)
def test_man_pages_are_well_formed(path: Path) -> None:
    """No macro that man(7) doesn't have, and the sections a reader looks for."""
    text = path.read_text(encoding="utf-8")
    assert text.startswith(f".TH {path.stem.upper()} {path.suffix[1:]} ")
    macros = set(re.findall(r"^\.([A-Z]\w*)", text, flags=re.MULTILINE))
    assert macros <= {
        "TH",
        "SH",
        "SS",
        "TP",
        "PP",
        "IP",
        "B",
        "BR",
        "I",
        "RB",
        "IR",
        "RI",
        "BI",
        "IB",
        "EX",
        "EE",
        "RS",
        "RE",
    }
    assert {"NAME", "DESCRIPTION", "SEE ALSO"} <= set(re.findall(r"^\.SH (.*)$", text, flags=re.MULTILINE))


@pytest.mark.parametrize(("shell", "file"), list(FILES.items()))
def test_completion_files_are_what_the_program_prints(tmp_path: Path, shell: str, file: str) -> None:
    kept = (ROOT / "completions" / file).read_text(encoding="utf-8")
    assert kept.rstrip("\n") == script_for(shell).rstrip("\n")
    done = run_pact(tmp_path, "completion", shell)
    assert (done.returncode, done.stdout) == (0, kept)


def complete(home: Path, line: str, endpoints: Mapping[str, str] = ENDPOINTS) -> list[str]:
    """The candidates that bash is given for the last word of `line`."""
    words = line.split(" ")
    env = {**endpoints, "_PACT_COMPLETE": "bash_complete", "COMP_WORDS": line, "COMP_CWORD": str(len(words) - 1)}
    done = subprocess.run([PACT], env=clean_environment(home, env), capture_output=True, text=True, check=True)
    return [row.partition(",")[2] for row in done.stdout.splitlines()]


def test_completion_of_verbs_in_help_order(tmp_path: Path) -> None:
    assert complete(tmp_path, "pact ") == [verb.name for verb in BUILT]
    assert complete(tmp_path, "pact log") == ["log", "login", "logout"]
    assert complete(tmp_path, "pact ", {}) == [verb.name for verb in BUILT if not verb.needs]


def test_completion_of_options_and_their_values(tmp_path: Path) -> None:
    assert complete(tmp_path, "pact log --ty") == ["--type"]
    assert complete(tmp_path, "pact log --type sess") == ["session.end", "session.start"]
    assert complete(tmp_path, "pact log --scope no") == ["node:"]
    assert complete(tmp_path, "pact completion z") == ["zsh"]
    assert "--output" in complete(tmp_path, "pact --")


@by_name
def test_completion_offers_every_option(tmp_path: Path, verb: Verb) -> None:
    command = loaded(verb)
    wanted = {o for p in command.params if isinstance(p, click.Option) for o in p.opts if o.startswith("--")}
    assert wanted <= set(complete(tmp_path, f"pact {verb.name} --"))


@pytest.mark.parametrize("verb", [v for v in VERBS if not v.module], ids=lambda verb: verb.name)
def test_a_verb_that_is_not_there_says_so_and_hides(tmp_path: Path, verb: Verb) -> None:
    done = run_pact(tmp_path, verb.name, "--any", "thing", env=ENDPOINTS)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == f"pact: {verb.name}: not available in this version\n"
    assert f"  {verb.name} " not in run_pact(tmp_path, "--help", env=ENDPOINTS).stdout


NEEDING = [verb for verb in BUILT if verb.needs]


def verbs_in(help_text: str) -> set[str]:
    return set(re.findall(r"^  ([a-z-]+) {2,}", help_text, flags=re.MULTILINE)) & {verb.name for verb in VERBS}


def test_verbs_whose_system_is_not_configured_are_left_out_of_the_help(tmp_path: Path) -> None:
    assert verbs_in(run_pact(tmp_path, "--help").stdout) == {verb.name for verb in BUILT if not verb.needs}
    assert verbs_in(run_pact(tmp_path, "--help", env=ENDPOINTS).stdout) == {verb.name for verb in BUILT}
    write_config(tmp_path, 'openchami_smd_url = "https://smd.example"\n')
    listed = verbs_in(run_pact(tmp_path, "--help").stdout)
    assert listed == {verb.name for verb in BUILT if verb.needs in {"", "openchami"}}


@pytest.mark.parametrize("verb", NEEDING, ids=lambda verb: verb.name)
@pytest.mark.parametrize("words", [(), ("--help",), ("--any", "thing", "--yes")], ids=len)
def test_called_anyway_they_say_what_to_set(tmp_path: Path, verb: Verb, words: tuple[str, ...]) -> None:
    variable, key = NEEDS[verb.needs]
    for typed in ((verb.name, *words), ("help", verb.name)):
        done = run_pact(tmp_path, *typed)
        assert (done.returncode, done.stdout) == (1, "")
        assert done.stderr.splitlines() == [
            f"pact: {verb.name}: no {verb.needs} endpoint is configured",
            f"hint: set {variable}, or {key} in cli.toml",
        ]


def test_called_anyway_they_say_it_as_json(tmp_path: Path) -> None:
    done = run_pact(tmp_path, "--output", "json", "drain", "node042")
    assert (done.returncode, done.stdout) == (1, "")
    assert json.loads(done.stderr)["error"]["message"] == "drain: no lattice endpoint is configured"


def test_a_broken_file_keeps_nobody_from_the_help_and_is_named_by_a_verb(tmp_path: Path) -> None:
    write_config(tmp_path, "lattice_endpoint = \n")
    assert "drain" not in verbs_in(run_pact(tmp_path, "--help").stdout)
    assert "not valid TOML" in run_pact(tmp_path, "drain", "node042").stderr
