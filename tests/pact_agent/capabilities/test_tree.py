"""Reading the kernel's files: what is damaged or missing is not known, and never an error."""

from __future__ import annotations

from pathlib import Path

import pytest
from pact_agent.capabilities.tree import names, pci_address, read_number, read_text, target

from tests.pact_agent.capabilities.tree import device, lay


@pytest.mark.parametrize(
    ("content", "number"),
    [("12\n", 12), ("-1\n", -1), ("0x10de\n", 0x10DE), ("", None), ("12 kB\n", None), ("\xb2\n", None), ("\0\n", None)],
)
def test_numbers(tmp_path: Path, content: str, number: int | None) -> None:
    lay(tmp_path, {"file": content})
    assert read_number(tmp_path / "file") == number


def test_texts(tmp_path: Path) -> None:
    lay(tmp_path, {"text": b"a\xff b \n\0", "empty": "\n", "directory/": ""})
    assert read_text(tmp_path / "text") == "a\ufffd b"
    assert [read_text(tmp_path / name) for name in ("empty", "directory", "nowhere", "a\0b")] == [None] * 4


def test_what_is_not_there_is_told_apart_from_what_is_not_known(tmp_path: Path) -> None:
    lay(tmp_path, {"class/net/eth10/": "", "class/net/eth2/": "", "file": ""})
    assert names(tmp_path / "class/net") == ["eth2", "eth10"]
    assert names(tmp_path / "class/infiniband") == []
    assert names(tmp_path / "nowhere/infiniband") is None
    assert names(tmp_path / "file") is None


def test_a_device_is_at_the_pci_address_that_it_or_what_it_is_on_has(tmp_path: Path) -> None:
    place = device(tmp_path, "0000:41:00.0", {}, driver="virtio-pci")
    lay(tmp_path, {f"{place}/virtio2/": "", "sys/class/net/eth0/device": f"->{place}/virtio2", "elsewhere/": ""})
    assert pci_address(tmp_path / "sys/class/net/eth0/device") == "0000:41:00.0"
    assert pci_address(tmp_path / "elsewhere") is None
    assert (target(tmp_path / place / "driver"), target(tmp_path / "elsewhere")) == ("virtio-pci", None)
