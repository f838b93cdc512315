"""Where else a file system shows a path: values in, values out."""

from __future__ import annotations

import pytest
from pact_agent.aliases import Mount, aliases

ROOT, HOME = Mount("8:1", "/", "/"), Mount("8:3", "/", "/home")


@pytest.mark.parametrize(
    ("path", "mounts", "places"),
    [
        ("/etc/shadow", (ROOT,), []),
        ("/etc/shadow", (ROOT, Mount("8:1", "/etc", "/srv/etc")), ["/srv/etc/shadow"]),
        ("/etc/shadow", (ROOT, Mount("8:1", "/etc/shadow", "/srv/file")), ["/srv/file"]),
        ("/etc/shadow", (ROOT, Mount("8:1", "/", "/mnt")), ["/mnt/etc/shadow"]),
        ("/etc/shadow", (ROOT, Mount("8:1", "/etcetera", "/srv/etc")), []),
        ("/etc/shadow", (ROOT, Mount("8:2", "/etc", "/srv/etc")), []),
        ("/root", (ROOT, Mount("8:1", "/root/.ssh", "/srv/keys")), ["/srv/keys"]),
        ("/root", (ROOT, Mount("8:1", "/root", "/srv/home"), Mount("8:1", "/rooted", "/srv/x")), ["/srv/home"]),
        # A file system of its own for the directory: only what shows that one counts.
        (
            "/home/a/.ssh",
            (ROOT, Mount("8:3", "/", "/home"), Mount("8:3", "/a", "/srv/a"), Mount("8:1", "/a", "/srv/b")),
            ["/srv/a/.ssh"],
        ),
        # A subvolume, whose root in the file system has another name.
        ("/etc/shadow", (Mount("0:30", "/@", "/"), Mount("0:30", "/", "/mnt/all")), ["/mnt/all/@/etc/shadow"]),
        ("/etc/shadow", (), []),
    ],
)
def test_places(path: str, mounts: tuple[Mount, ...], places: list[str]) -> None:
    assert list(aliases(path, mounts)) == places
