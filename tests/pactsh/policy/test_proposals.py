"""From refused lines to entries: valid, no wider than what was seen, and silent about values."""

from __future__ import annotations

import shlex
import tomllib

from hypothesis import given, settings
from hypothesis import strategies as st

from pactsh.policy.files import parse_policy_file
from pactsh.policy.model import Policy
from pactsh.policy.proposals import Refused, kind_of, propose
from pactsh.policy.toml import render_toml
from tests.pactsh.catalog.deciding import decided, shipped
from tests.pactsh.policy.test_files import GOOD, parsed


def seen(line: str, path: str | None = None, *, who: str = "alice@org", node: str = "node042") -> Refused:
    argv = tuple(shlex.split(line))
    return Refused(argv[0], argv, path, who, node, "2026-01-31T12:00:00.000000Z")


def tool(arguments: str) -> Refused:
    return seen(f"zztool {arguments}", "/usr/bin/zztool")


def proposed(*refused: Refused, policy: Policy | None = None) -> str:
    return "\n".join(propose(refused, policy or Policy("ml"), shipped())) + "\n"


def pasted(*refused: Refused, text: str = "") -> Policy:
    """The policy after its own text and the proposals were written into one file."""
    policy = parse_policy_file(text, "f", "ml", shipped())
    return parse_policy_file(render_toml(policy) + proposed(*refused, policy=policy), "f", "ml", shipped())


def test_an_unknown_program_becomes_an_entry_that_lets_its_lines_pass() -> None:
    lines = ["zztool -a --format=json /var/log/x", "zztool -ab /etc/hosts", "zztool --format=text /srv/y"]
    policy = pasted(*(seen(line, "/usr/bin/zztool") for line in lines), text=GOOD)
    for line in lines:
        decision = decided(line, policy=policy)
        assert (decision.verdict, decision.class_) == ("allow", "read"), line
    assert decided("zztool -c", policy=policy).code == "unknown-option"
    assert decided("zztool /etc/shadow", policy=policy).code == "secret-path"
    assert decided("zztool -a x y", policy=policy).code == "extra-operand"
    (command,) = (c for c in policy.commands.add if c.name == "zztool")
    assert (command.paths, [o.kind for o in command.operands]) == (("/usr/bin/zztool",), ["file"])


def test_the_comments_say_whose_lines_they_were() -> None:
    text = proposed(tool("-a"), seen("zztool -a", "/usr/bin/zztool", who="bob@org", node="node043"))
    assert "# zztool: 2 lines refused, by alice@org, bob@org on node042, node043, 2026-01-31T12:00:00Z to " in text


def test_a_known_command_gets_the_options_it_lacks() -> None:
    lines = ["dmesg --zzone -T", "dmesg --zztwo=5", "ls -yl"]
    policy = pasted(*map(seen, lines))
    assert [decided(line, policy=policy).verdict for line in lines] == ["allow"] * 3
    assert {e.command: [o.names for o in e.options] for e in policy.commands.extend} == {
        "dmesg": ["--zzone", "--zztwo"],
        "ls": ["-y"],
    }


def test_what_the_catalog_denies_is_only_a_comment_with_its_reason() -> None:
    text = proposed(seen("dmesg -C"), seen("sort -o x y"), seen("ip netns exec a b"))
    assert tomllib.loads(text) == {}
    for reason in (
        "dmesg -C is not allowed: it clears",
        "sort -o is not allowed: it writes",
        "ip netns exec is not allowed: it",
    ):
        assert reason in text


def test_a_line_that_is_refused_for_more_than_its_option_gives_no_option() -> None:
    assert tomllib.loads(proposed(seen("dmesg --zz -C"), seen("cat --zz /etc/shadow"))) == {}


def test_what_no_policy_may_add_is_a_comment_that_says_so() -> None:
    text = proposed(*(seen(f"{name} -c x", f"/usr/bin/{name}") for name in ("bash", "python3", "xargs", "sudo")))
    assert tomllib.loads(text) == {}
    assert text.count("not proposed: it ") == 4
    elsewhere = proposed(seen("zztool", "/usr/local/bin/zztool"))
    assert tomllib.loads(elsewhere) == {}
    assert "must be below one of" in elsewhere


def test_a_name_that_is_no_program_is_counted_and_not_shown() -> None:
    """Somebody's password, typed a line too early."""
    text = proposed(seen("hunter2"), seen("Tr0ub4dor&3 x"), tool("-a"))
    assert "hunter2" not in text
    assert "Tr0ub4dor" not in text
    assert "# refused, but naming no program of the nodes: 2" in text


SECRETS = ["s3cr3t-Value", "AKIAIOSFODNN7EXAMPLE", "ghp_16C7e42F292c6912E7710c838347Ae178B4a"]


def test_no_value_gets_into_a_proposal() -> None:
    for secret in SECRETS:
        text = proposed(
            tool(f"--password={secret} login {secret}"),
            tool(f"-p{secret}"),
            tool(f"-- {secret}"),
            tool(f"--{secret}"),
            seen(f"dmesg --level {secret}"),
            seen(f"dmesg --zz={secret} {secret}"),
            seen(f"ping -i {secret} x"),
            seen(f"ip netns exec {secret}"),
            seen(f"systemctl {secret}"),
            seen(f"dmesg --{secret}"),
            seen(f"ls -{secret}"),
        )
        assert secret not in text
        assert secret[:6] not in text


def test_who_typed_it_can_not_write_into_the_file() -> None:
    text = proposed(seen("zztool", "/usr/bin/zztool", who='x\n[commands]\nremove = ["ls"]', node="n\r\nx"))
    assert set(tomllib.loads(text)["commands"]) == {"add"}


def test_kinds_are_the_narrowest_that_fit() -> None:
    assert kind_of(["1", "-2"]) == "int"
    assert kind_of(["/etc/x", "1"]) == "file"
    assert kind_of(["a", "b=c"]) == "word"
    assert kind_of(["a", ".bashrc"]) == "file"
    assert kind_of(["a b"]) == "string"


def test_an_option_with_and_without_value_and_numbers_alone() -> None:
    policy = pasted(tool("--color"), tool("--color=auto"), tool("-20"), tool("-p=5"))
    for line in ("zztool --color", "zztool --color=x", "zztool -20"):
        assert decided(line, policy=policy).verdict == "allow", line


def test_what_passes_by_now_is_said_to() -> None:
    assert "the whitelist takes these lines by now" in proposed(seen("ls -l"))
    added = parsed(GOOD)
    assert "takes these lines by now" in proposed(seen("mytool -a", "/usr/bin/mytool"), policy=added)


def test_the_shell_itself_is_not_extended() -> None:
    assert tomllib.loads(proposed(seen("history --zz"))) == {}


def test_it_is_bounded() -> None:
    many = [seen(f"zz{n} -a", f"/usr/bin/zz{n}") for n in range(60)]
    assert len(tomllib.loads(proposed(*many))["commands"]["add"]) == 50
    assert "# 10 more commands are not shown" in proposed(*many)


WORD = st.text(alphabet="-abz=/.09 \n\"'\\é\u202e[]#", max_size=12)
NAME = st.sampled_from(["zztool", "dmesg", "ls", "ps", "ip", "journalctl", "sort", "bash", "echo", "pact", "kill"])


@settings(max_examples=150, deadline=None)
@given(st.lists(st.tuples(NAME, st.lists(WORD, max_size=5), WORD), max_size=8))
def test_whatever_was_refused_pasting_gives_a_valid_policy(rows: list[tuple[str, list[str], str]]) -> None:
    refused = [
        Refused(name, (name, *words), f"/usr/bin/{name}", who, who, "2026-01-31T12:00:00.000000Z")
        for name, words, who in rows
    ]
    pasted(*refused, text=GOOD)
