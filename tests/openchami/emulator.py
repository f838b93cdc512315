"""sushy's Redfish emulator, with one node that is not real: what it says was written by others."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import bcrypt

from tests.openchami.bmc import PASSWORD, USER

UUID = "27946b59-9e44-4fa7-8e91-f3527a1ef094"
_RUNS_ON = re.compile(r"Running on https://127\.0\.0\.1:(\d+)")


@contextmanager
def emulator(directory: Path, certificate: tuple[Path, Path], *, power: str = "On") -> Iterator[str]:
    """Host, port and path of its system, while it runs. Power takes up to 11 s to change, as it would."""
    directory.mkdir(parents=True, exist_ok=True)
    passwords, config = directory / "htpasswd", directory / "emulator.conf"
    passwords.write_text(f"{USER}:{bcrypt.hashpw(PASSWORD.encode(), bcrypt.gensalt(4)).decode()}\n")
    system = {"uuid": UUID, "name": "node", "power_state": power, "nics": []}
    settings = {
        "AUTH_FILE": str(passwords), "LISTEN_IP": "127.0.0.1", "LISTEN_PORT": 0, "STATE_DIR": str(directory),
        "FAKE_DRIVER": True, "FAKE_SYSTEMS": [system], "SSL_CERT": str(certificate[0]), "SSL_KEY": str(certificate[1]),
    }  # fmt: skip
    config.write_text("".join(f"SUSHY_EMULATOR_{key} = {value!r}\n" for key, value in settings.items()))
    command = [sys.executable, "-c", "from sushy_tools.emulator.main import main; main()", "--config", str(config)]
    with subprocess.Popen(
        [*command, "--fake"], stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True
    ) as running:
        assert running.stderr is not None
        try:
            said = ""
            for line in running.stderr:
                said += line
                found = _RUNS_ON.search(line)
                if found:
                    break
            else:
                raise AssertionError(f"the emulator did not start: {said}")
            yield f"127.0.0.1:{found[1]}/redfish/v1/Systems/{UUID}"
        finally:
            running.kill()
