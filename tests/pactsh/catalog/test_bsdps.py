"""ps lines: no spelling of `e` may show an environment, in either way ps reads a line."""

from __future__ import annotations

import itertools
import os
import subprocess

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.pactsh.catalog.deciding import decided

SECRET = "PACT_TEST_SECRET=dangerous"
WORD = st.one_of(
    st.from_regex(r"-?[aexufwlCUpo]{1,4}", fullmatch=True),
    st.sampled_from(["-C", "-u", "ex", "x", "nosuch", "-e", "--user=x", "e", "-o", "pid,args", "--forest", "1"]),
)


def shown(argv: tuple[str, ...]) -> str:
    done = subprocess.run(argv, capture_output=True, timeout=20, env={"PATH": "/usr/bin", "COLUMNS": "1000"})
    return (done.stdout + done.stderr).decode(errors="replace")


@pytest.fixture(scope="module")
def bearer() -> object:
    """A process of ours with a secret in its environment."""
    environment = {**os.environ, "PACT_TEST_SECRET": "dangerous"}
    with subprocess.Popen(["/bin/cat"], stdin=subprocess.PIPE, env=environment) as process:
        yield process
        process.communicate()


@pytest.mark.skipif(not os.access("/usr/bin/ps", os.X_OK), reason="no ps here: apt-get install procps")
def test_without_the_catalog_ps_would_show_it(bearer: object) -> None:
    """The trap itself: an unknown user makes ps read `-C ex` as BSD letters."""
    assert SECRET in shown(("ps", "ewwax"))


@pytest.mark.skipif(not os.access("/usr/bin/ps", os.X_OK), reason="no ps here: apt-get install procps")
@settings(max_examples=150, deadline=None)
@given(st.lists(WORD, min_size=1, max_size=4))
def test_no_accepted_line_shows_an_environment(bearer: object, words: list[str]) -> None:
    decision = decided("ps " + " ".join(words))
    if decision.verdict == "allow":
        assert SECRET not in shown(decision.stages[0].argv)


@pytest.mark.parametrize("letters", sorted({"".join(p) for p in itertools.permutations("auxe")}))
def test_a_cluster_with_e_is_refused_wherever_it_stands(letters: str) -> None:
    decision = decided(f"ps {letters}")
    assert decision.verdict == "refuse"


@pytest.mark.parametrize(
    ("line", "run"),
    [
        ("ps -ef", ("ps", "-Af")),
        ("ps -aux", ("ps", "aux")),
        ("ps -u root", ("ps", "--user=root")),
        ("ps -fu root", ("ps", "-f", "--user=root")),
        ("ps -o pid,comm -p 1", ("ps", "--format=pid,comm", "--pid=1")),
        ("ps axo pid,comm", ("ps", "axo", "pid,comm")),
    ],
)
def test_what_is_run_reads_the_same_both_ways(line: str, run: tuple[str, ...]) -> None:
    assert decided(line).stages[0].argv == run
