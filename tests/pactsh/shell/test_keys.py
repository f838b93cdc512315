from __future__ import annotations

from prompt_toolkit.keys import Keys

from pactsh.shell.keys import completion_keys, inert_keys, paste_keys

# What these bindings do is seen in test_prompt.py and, on the whole program, in test_repl.py.


def test_only_enter_paste_and_suspend_are_bound() -> None:
    assert [binding.keys for binding in completion_keys().bindings] == [(Keys.ControlM,)]
    assert [binding.keys for binding in inert_keys().bindings] == [(Keys.ControlZ,)]
    assert [binding.keys for binding in paste_keys(lambda _lines: None).bindings] == [(Keys.BracketedPaste,)]
