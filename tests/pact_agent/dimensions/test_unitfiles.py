"""What is read of unit files: real directories, below one of the test's own."""

from __future__ import annotations

from pathlib import Path

from pact_agent.dimensions.unitfiles import read_unit_files


def test_the_files_tell_what_is_wanted_and_what_the_bus_starts(tmp_path: Path) -> None:
    system = tmp_path / "usr/lib/systemd/system"
    bus = tmp_path / "usr/share/dbus-1/system-services"
    for directory in (system / "multi-user.target.wants", tmp_path / "etc/systemd/system/x.target.requires", bus):
        directory.mkdir(parents=True)
    (tmp_path / "lib").symlink_to("usr/lib")
    (system / "multi-user.target.wants/a.service").symlink_to("../a.service")
    (tmp_path / "etc/systemd/system/x.target.requires/a.service").symlink_to("/nowhere")
    (system / "dbus-one.service").symlink_to("one.service")
    (bus / "one.service").write_text("[D-BUS Service]\nName=one\nSystemdService=dbus-one.service\n")
    (bus / "two.service").write_text("[D-BUS Service]\nName=two\nSystemdService=two.service\nExec=/bin/false\n")
    (bus / "three.service").write_text("[D-BUS Service]\nName=three\nExec=/bin/three\n")
    found = read_unit_files(str(tmp_path))
    assert (found.wanted, found.called) == ({"a.service": "enabled"}, frozenset({"one.service", "two.service"}))
    assert read_unit_files(str(tmp_path), found) is found
    (system / "multi-user.target.wants/b.service").symlink_to("../b.service")
    assert read_unit_files(str(tmp_path), found).wanted == {"a.service": "enabled", "b.service": "static"}
