"""Commands and services on nodes with jobs: asked about before, drained before, by whoever may know of the jobs."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from pactsh.cli.command import make_context
from pactsh.cli.context import Context
from pactsh.cli.delegating import Result
from pactsh.cli.disturbing import Act, Care, carefully, changes
from pactsh.errors import PactError, UnreachableError
from tests.pact_agent.localnode import LocalNode
from tests.pactsh.cli.conftest import NODE
from tests.pactsh.cli.delegated import OPS, VIEWER, Site, site, wait_for

pytestmark = pytest.mark.e2e  # a whole node each

RESTART = ("systemctl", "restart", "chrony")
BOTH = (NODE, "node043")


@pytest.fixture
def here(tmp_path: Path) -> Iterator[Site]:
    with site(tmp_path) as made:
        yield made


@pytest.fixture
def ctx(here: Site, monkeypatch: pytest.MonkeyPatch) -> Context:
    """That of a platform admin elsewhere."""
    for name in [name for name in os.environ if name.startswith("PACT_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(here.home))
    for name, value in here.env().items():
        monkeypatch.setenv(name, value)
    return make_context({"timeout": 5.0})


@dataclass
class Done:
    """What was done, on which nodes; `bad` are those where it fails, `broken` makes all of it fail."""

    nodes: list[str]
    bad: tuple[str, ...] = ()
    broken: bool = False

    def act(self) -> Act[tuple[str, int]]:
        return Act("exec: systemctl restart chrony", self._do, _well, lambda step: (step.target, step.status))

    def _do(self, nodes: Sequence[str]) -> Iterator[tuple[str, int]]:
        if self.broken:
            raise UnreachableError("the node is away")
        for node in nodes:
            self.nodes.append(node)
            yield node, int(node in self.bad)


def _well(result: tuple[str, int]) -> tuple[str, ...]:
    return () if result[1] else (result[0],)


DRAIN = Care(yes=False, drain=True, drain_timeout_s=30)


def test_drained_before_and_undrained_after(here: Site, ctx: Context) -> None:
    done = Done([])
    assert list(carefully(ctx, BOTH, done.act(), DRAIN)) == [(NODE, 0), ("node043", 0)]
    assert here.begun() == [("drain", NODE), ("drain", "node043"), ("undrain", NODE), ("undrain", "node043")]
    assert {here.lattice.node(name).state for name in BOTH} == {"ready"}
    assert here.entries("delegation.begun")[0]["reason"] == "pact exec: systemctl restart chrony"


def test_where_it_fails_the_node_stays_drained(here: Site, ctx: Context, capsys: pytest.CaptureFixture[str]) -> None:
    assert list(carefully(ctx, BOTH, Done([], bad=(NODE,)).act(), DRAIN)) == [(NODE, 1), ("node043", 0)]
    assert [here.lattice.node(name).state for name in BOTH] == ["drained", "ready"]
    assert "pact: node042 stays drained; to undo it: pact undrain node042\n" in capsys.readouterr().err
    here.lattice.node(NODE).state = "ready"
    with pytest.raises(UnreachableError):
        list(carefully(ctx, (NODE,), Done([], broken=True).act(), DRAIN))
    assert here.lattice.node(NODE).state == "drained"
    assert "pact: node042 stays drained; to undo it: pact undrain node042\n" in capsys.readouterr().err


def test_what_can_not_be_drained_is_left_alone_and_told(here: Site, ctx: Context) -> None:
    here.lattice.node("node043").state = "failed"
    done = Done([])
    assert list(carefully(ctx, BOTH, done.act(), DRAIN)) == [("node043", 1), (NODE, 0)]
    assert done.nodes == [NODE]
    with pytest.raises(PactError, match="node043 is failed: it can't be drained"):
        list(carefully(ctx, ("node043",), done.act(), DRAIN))
    here.lattice.node(NODE).state = "failed"
    with pytest.raises(PactError, match="none of the nodes could be drained"):
        list(carefully(ctx, BOTH, done.act(), DRAIN))
    assert done.nodes == [NODE]


def test_jobs_are_asked_about(here: Site, ctx: Context) -> None:
    here.lattice.add_job(nodes=[NODE])
    done = Done([])
    with pytest.raises(PactError, match="1 job on node042, and nobody is there to be asked"):
        list(carefully(ctx, (NODE,), done.act(), Care(yes=False, drain=False, drain_timeout_s=1)))
    assert done.nodes == []
    assert list(carefully(ctx, (NODE,), done.act(), Care(yes=True, drain=False, drain_timeout_s=1)))
    assert (done.nodes, here.begun()) == ([NODE], [])


@pytest.mark.parametrize(
    ("argv", "expected"),
    [
        (("uname", "-a"), False),
        (RESTART, True),
        (("systemctl", "status", "chrony"), False),
        (("pact", "service", "status"), False),
        (("bypass", "reboot"), True),
        (("no-such-command",), False),  # the node refuses it
        (("rm", "-rf", "/"), False),
    ],
)
def test_what_changes_a_node_is_known_from_the_catalog(ctx: Context, argv: tuple[str, ...], expected: bool) -> None:
    assert changes(ctx, (NODE,), argv) is expected


def test_of_what_the_policy_adds_that_is_known_too(here: Site, ctx: Context) -> None:
    file = here.home / "policy.toml"
    file.write_text(
        '[[commands.add]]\nname = "fixit"\nsummary = "mend it"\ngroup = "services"\npaths = ["/usr/bin/fixit"]\n'
        'change = "services"\n'
    )
    done = here.pact("group", "set-policy", "ml-training", "--file", str(file), "--yes")
    assert done.returncode == 0, done.stderr
    assert changes(ctx, (NODE,), ("fixit",))
    here.journal.stop()
    assert changes(ctx, (NODE,), ("fixit",))  # nobody can tell
    assert changes(ctx, (NODE,), ("anything",))


@pytest.mark.parametrize(
    "words",
    [
        ("exec", NODE, "--", *RESTART),
        ("exec", "--bypass", NODE, "--", "reboot"),
        ("service", "restart", "chrony", "--node", NODE),
        ("service", "stop", "chrony", "--node", NODE),
    ],
    ids=" ".join,
)
def test_as_it_is_typed(here: Site, words: tuple[str, ...]) -> None:
    id_ = here.lattice.add_job(nodes=[NODE], user="carl")
    for who in (None, OPS):
        done = here.pact(*words, who=who)
        assert (done.returncode, done.stdout) == (1, "")
        assert id_ in done.stderr
        assert done.stderr.endswith(
            "1 job on node042, and nobody is there to be asked\nhint: --yes goes on all the same\n"
        )
    at = words.index("--") if "--" in words else len(words)
    done = here.pact(*words[:at], "--yes", *words[at:])
    assert "no SSH address" in done.stderr  # it went on
    here.lattice.end_job(id_)
    assert "no SSH address" in here.pact(*words).stderr


def test_what_only_reads_asks_nothing(here: Site) -> None:
    here.lattice.add_job(nodes=[NODE])
    for words in (("exec", NODE, "--", "uname", "-a"), ("service", "status", "--node", NODE)):
        assert "no SSH address" in here.pact(*words).stderr
    assert here.lattice.calls == []


def test_who_may_not_read_there_does_not_see_the_jobs(here: Site) -> None:
    here.lattice.add_job(nodes=[NODE])
    done = here.pact("exec", NODE, "--", *RESTART, who=("bot@org", ("pact-service-agent",)))
    assert done.returncode == 1
    assert "what runs on node042 is not known: bot@org may not lattice read" in done.stderr
    assert here.lattice.calls == []


def test_a_viewer_sees_the_jobs_of_their_vcluster(here: Site) -> None:
    id_ = here.lattice.add_job(nodes=[NODE])
    done = here.pact("exec", NODE, "--", *RESTART, who=VIEWER)
    assert (done.returncode, id_ in done.stderr) == (1, True)


def test_with_the_journal_gone_lattice_is_asked_as_nobody(here: Site, ctx: Context) -> None:
    here.lattice.add_job(nodes=[NODE])
    here.journal.stop()
    with pytest.raises(PactError, match="1 job on node042"):
        list(carefully(ctx, (NODE,), Done([]).act(), Care(yes=False, drain=False, drain_timeout_s=1)))
    assert {sent.get("x-lattice-user") for _, sent in here.lattice.calls} == {None}


def test_with_lattice_gone_it_is_asked_and_nothing_is_drained(here: Site, ctx: Context) -> None:
    here.lattice.stop()
    with pytest.raises(PactError, match="what runs on node042 is not known"):
        list(carefully(ctx, (NODE,), Done([]).act(), Care(yes=False, drain=False, drain_timeout_s=1)))
    with pytest.raises(UnreachableError):
        list(carefully(ctx, (NODE,), Done([]).act(), DRAIN))


def test_drain_takes_a_lattice(here: Site) -> None:
    here.more = {"PACT_LATTICE_ENDPOINT": ""}
    for words in (("exec", "--drain", NODE, "--", *RESTART), ("service", "stop", "chrony", "--node", NODE, "--drain")):
        done = here.pact(*words)
        assert done.returncode == 1
        assert "--drain: no lattice endpoint is configured" in done.stderr


def test_on_a_node_nothing_is_asked(here: Site, node: LocalNode) -> None:
    here.lattice.add_job(nodes=[NODE])
    here.more = {"PACT_AGENT_SOCKET": str(node.socket)}
    done = here.pact("service", "restart", "no-such-service")
    assert here.lattice.calls == []
    assert "nobody is there" not in done.stderr
    done = here.pact("service", "restart", "no-such-service", "--drain")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("pact: service restart: --drain: not on a node: from elsewhere\n")


def test_the_steps_are_told_beside_the_output(here: Site, ctx: Context, capsys: pytest.CaptureFixture[str]) -> None:
    seen: list[Result | tuple[str, int]] = [*carefully(ctx, (NODE,), Done([]).act(), DRAIN)]
    assert seen == [(NODE, 0)]
    told = capsys.readouterr()
    assert told.out == ""
    assert [line.split(":")[0] for line in told.err.splitlines()] == ["Drained", "Undrained"]
    wait_for(lambda: len(here.ended()) == 2)
