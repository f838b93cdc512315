from __future__ import annotations

import os
import stat
from pathlib import Path

from pactsh.dev.root import copy_settings


def test_settings_are_copied_with_modes_and_without_what_is_skipped(tmp_path: Path) -> None:
    real, copy = tmp_path / "real", tmp_path / "copy"
    (real / "vm").mkdir(parents=True)
    (real / "net" / "core").mkdir(parents=True)
    (real / "vm" / "swappiness").write_text("60\n")
    (real / "vm" / "drop_caches").write_text("secret\n")
    (real / "vm" / "drop_caches").chmod(0o200)
    (real / "net" / "core" / "somaxconn").write_text("4096\n")
    copy.mkdir()
    copy_settings(str(real), str(copy), skip=("net",))
    assert (copy / "vm" / "swappiness").read_text() == "60\n"
    assert stat.S_IMODE((copy / "vm" / "drop_caches").stat().st_mode) == 0o200
    assert (copy / "vm" / "drop_caches").stat().st_size == 0
    assert not (copy / "net").exists()
    (copy / "vm" / "swappiness").write_text("1\n")
    assert (real / "vm" / "swappiness").read_text() == "60\n"


def test_the_kernel_settings_of_this_machine_can_be_copied(tmp_path: Path) -> None:
    copy_settings("/proc/sys", str(tmp_path), skip=("net",))
    with open("/proc/sys/vm/swappiness", "rb") as file:
        assert (tmp_path / "vm" / "swappiness").read_bytes() == file.read()
    assert not os.path.exists(tmp_path / "net")
