"""The published schema is that of the types, so that whoever reads a manifest can rely on it."""

from __future__ import annotations

import json
from pathlib import Path

import msgspec

from pactsh.model.capability import Capabilities, Manifest

SCHEMA = Path(__file__).parents[3] / "docs" / "capabilities.schema.json"
ABOUT = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "title": "pact capabilities",
    "description": (
        "The manifest capabilities.json of a pact agent; $defs/Capabilities is what `pact cap --output json` prints."
    ),
}


def published() -> str:
    """The schema as it is published: its descriptions are those of the types, on one line each."""
    schema: dict[str, dict[str, dict[str, str]]] = msgspec.json.schema(Manifest)
    for about in schema["$defs"].values():
        about["description"] = " ".join(about["description"].split())
    return json.dumps(ABOUT | schema, indent=2) + "\n"


def test_the_schema_in_the_documentation_is_of_these_types() -> None:
    """After a change of the types: write what `published` gives into the file."""
    assert SCHEMA.read_text(encoding="utf-8") == published()


def test_all_types_are_described_in_it() -> None:
    types = json.loads(SCHEMA.read_text(encoding="utf-8"))["$defs"]
    assert Capabilities.__name__ in types
    assert [name for name, about in types.items() if not about.get("description")] == []
