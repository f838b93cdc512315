"""JSON for the local socket without importing `json`.

`json` imports `re`, which alone costs a quarter of the interpreter's start. The C parts that
`json` itself stands on are enough for frames, but their names are private: where one is
missing this module falls back to `json`, slower and otherwise the same.
"""

TYPE_CHECKING = False  # what `typing` would give, without importing it
if TYPE_CHECKING:
    from typing import NoReturn


def _reject_constant(name: str) -> "NoReturn":
    raise ValueError(f"{name} is not JSON")


class _Context:
    """What `make_scanner` reads its settings from."""

    strict = True
    object_hook = None
    object_pairs_hook = None
    parse_float = float
    parse_int = int
    parse_constant = staticmethod(_reject_constant)


try:
    from _json import encode_basestring_ascii as _quote
    from _json import make_scanner

    _scan = make_scanner(_Context())  # type: ignore[arg-type]  # any object with these attributes will do
except ImportError:  # another interpreter, or a later CPython that renamed them
    from json.decoder import JSONDecoder
    from json.encoder import encode_basestring_ascii as _quote

    _scan = JSONDecoder(parse_constant=_reject_constant).scan_once  # type: ignore[attr-defined]


def dumps(value: object) -> str:
    """Render a value as ASCII JSON; lone surrogates become `\\udcXX`. Raises TypeError, ValueError."""
    if isinstance(value, str):
        return _quote(value)
    if value is None:
        return "null"
    if value is True:
        return "true"
    if value is False:
        return "false"
    if isinstance(value, int):
        return int.__repr__(value)
    if isinstance(value, float):
        if value - value != 0.0:  # infinite or not a number, neither of which JSON has
            raise ValueError("number out of range for JSON")
        return float.__repr__(value)
    if isinstance(value, dict):
        members = []
        for key, member in value.items():
            if not isinstance(key, str):
                raise TypeError("JSON keys are strings")
            members.append(_quote(key) + ":" + dumps(member))
        return "{" + ",".join(members) + "}"
    if isinstance(value, list | tuple):
        return "[" + ",".join([dumps(item) for item in value]) + "]"
    raise TypeError(f"{type(value).__name__} is not JSON")


def loads(text: str) -> object:
    """Parse one JSON document. Raises ValueError for anything else."""
    text = text.strip(" \t\n\r")
    try:
        value, end = _scan(text, 0)
    except StopIteration:
        raise ValueError("not JSON") from None
    except RecursionError:
        raise ValueError("JSON nested too deeply") from None
    if end != len(text):
        raise ValueError("text after the JSON document")
    return value
