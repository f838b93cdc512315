"""A cold `pact exec NODE -- true`, beside OpenSSH and an sshd on the same machine."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

from bench import sshd
from bench.measure import Case, CaseError, interleave, program
from bench.report import Section, ratio_rows
from bench.system import BIN, NODE, System

TITLE = "One remote command, cold: start, connect, authenticate, run, end"
OURS, THEIRS = "pact exec NODE -- true", "ssh HOST true (OpenSSH to sshd)"


def measure(system: System, directory: Path, rounds: int) -> Section:
    """Medians; the certificate is signed before the first counted round, as after a login."""
    ours = program((str(BIN / "pact"), "exec", NODE, "--", "true"), system.outside)
    try:
        with sshd.started(directory / "sshd") as server:
            classic = (*server.client[:1], "-o", "KexAlgorithms=curve25519-sha256", *server.client[1:])
            cases = {
                THEIRS: program((*server.client, "true"), system.outside),
                # OpenSSH alone may choose a key exchange that costs more than all the rest.
                "ssh HOST true, key exchange curve25519": program((*classic, "true"), system.outside),
                OURS: ours,
                **_mixed(system, directory),
            }
            return _compare(cases, THEIRS, rounds)
    except CaseError as error:
        if "sshd" not in str(error) and "OpenSSH" not in str(error):
            raise
        section = _compare({OURS: ours}, OURS, rounds)
        return Section(TITLE, section.rows, [f"{THEIRS}: left out: {error}"])


def _compare(cases: dict[str, Case], reference: str, rounds: int) -> Section:
    return Section(TITLE, ratio_rows(interleave(cases, rounds, warm_up=1), reference))


def _mixed(system: System, directory: Path) -> dict[str, Case]:
    """OpenSSH's client to our server: which of the two ends costs what."""
    config = directory / "ssh_config"
    done = subprocess.run([BIN / "pact", "ssh-config"], env=system.outside, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        return {}
    # Without its renewal of the certificate, which starts a `pact` of its own: here the server is measured.
    config.write_text(re.sub(r"^Match originalhost (\S+) exec .*$", r"Host \1", done.stdout, flags=re.MULTILINE))
    case = program(("ssh", "-F", str(config), "-o", "BatchMode=yes", NODE, "true"), system.outside)
    try:
        case()
    except CaseError:
        return {}
    return {"ssh NODE true (OpenSSH to pact-agent)": case}
