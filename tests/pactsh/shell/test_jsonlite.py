from __future__ import annotations

import json
import math
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pactsh.shell import jsonlite

values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters()),  # lone surrogates included
    lambda inner: st.lists(inner) | st.dictionaries(st.text(st.characters()), inner),
    max_leaves=20,
)


@given(values)
def test_dumps_is_what_json_reads(value: object) -> None:
    text = jsonlite.dumps(value)
    assert text.isascii()
    assert text == json.dumps(value, separators=(",", ":"))


@given(values, st.sampled_from([None, 1, "\t"]))
def test_loads_is_what_json_loads(value: object, indent: int | str | None) -> None:
    text = json.dumps(value, indent=indent)
    assert jsonlite.loads(text) == json.loads(text)


@given(st.text(alphabet='{}[]",:\\ntruefals0123456789.eE+- \t'))
def test_loads_accepts_exactly_what_json_accepts(text: str) -> None:
    try:
        expected = json.loads(text)
    except ValueError:
        with pytest.raises(ValueError):
            jsonlite.loads(text)
    else:
        assert jsonlite.loads(text) == expected


@pytest.mark.parametrize("text", ["NaN", "[Infinity]", "-Infinity", "", "{}x", "[" * 100_000])
def test_loads_refuses(text: str) -> None:
    with pytest.raises(ValueError):
        jsonlite.loads(text)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_dumps_refuses_numbers_that_json_has_not(value: float) -> None:
    with pytest.raises(ValueError):
        jsonlite.dumps(value)


@pytest.mark.parametrize("value", [{1: 2}, b"x", {1}])
def test_dumps_refuses_what_json_has_not(value: object) -> None:
    with pytest.raises(TypeError):
        jsonlite.dumps(value)


def test_falls_back_to_json_without_the_private_module() -> None:
    code = (
        "import sys; sys.modules['_json'] = None\n"
        "from pactsh.shell import jsonlite\n"
        "text = jsonlite.dumps({'a': ['ü', 1.5, None, True]})\n"
        "assert jsonlite.loads(text) == {'a': ['ü', 1.5, None, True]}, text\n"
        "print(text)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True)
    assert done.stdout == '{"a":["\\u00fc",1.5,null,true]}\n'
