r"""What a terminal shows of an untrusted text, and nothing else it can be talked into. Pure.

A recording holds whatever somebody's commands printed. Played again, text, colours and movements of the cursor pass;
what makes a terminal answer (as if its owner had typed), set its title, fill the clipboard or report the mouse doesn't.
"""

from __future__ import annotations

import re

_CONTROL = re.compile(r"[\x00-\x08\x0e-\x1f\x7f-\x9f]")
_BELL_BACKSPACE_SHIFTS = "\x07\x08\x0e\x0f"
_SEQUENCE = re.compile(r"\x1b(?:\[([<-?]?)([0-9:;]*)([ -/]*)([@-~])|([()*+])([0-9A-Za-z])|([0-OQ-WYZ\\`-~]))")
_UNFINISHED = re.compile(r"\x1b(?:\[[<-?]?[0-9:;]*[ -/]*|[()*+])?")
_STRINGS = ("\x1b]", "\x1bP", "\x1bX", "\x1b^", "\x1b_")  # OSC, DCS, SOS, PM, APC
_END_OF_STRING = re.compile(r"[\x07\x18\x1a\x1b\x9c]")
_CSI = frozenset("@ABCDEFGHIJKLMPSTXZ`abdefgmrsu")  # erase, move, insert, colour, scroll; nothing that is answered
_ANSI_MODES = frozenset({"4"})  # insert; others lock the keyboard (2) or change what a key sends (20)
_LONG_NUMBER = re.compile(r"[0-9]{5}")  # a repetition that a terminal would be busy with for long
_MODES = frozenset({"1", "7", "12", "25", "47", "1047", "1048", "1049"})  # cursor, wrap, the other screen
_SINGLE = frozenset("78DEHM=>c")
_LONGEST = 256


class Harmless:
    r"""Passes a text on in pieces, whatever the pieces. Without `sequences` only the text itself is left.

    >>> harmless = Harmless()
    >>> harmless.feed("\x1b[1mb\x1b[0m\x1b]0;title\x07\x1b[6n\x1b["), harmless.feed("31mred")
    ('\x1b[1mb\x1b[0m', '\x1b[31mred')
    >>> Harmless(sequences=False).feed("\x1b[31ma\x08b\r\n")
    'ab\n'
    """

    def __init__(self, *, sequences: bool = True) -> None:
        self._sequences = sequences
        self._rest = ""
        self._in_string = False

    def feed(self, text: str) -> str:
        """What of it may be shown now."""
        text, self._rest = self._rest + text, ""
        shown: list[str] = []
        at = 0
        while at < len(text):
            if self._in_string:
                end = _END_OF_STRING.search(text, at)
                if end is None:
                    break
                self._in_string = False
                at = end.start() if end[0] == "\x1b" else end.end()
                continue
            control = _CONTROL.search(text, at)
            until = len(text) if control is None else control.start()
            shown.append(text[at:until])
            if control is None:
                break
            at = self._control(text, until, shown)
            if at < 0:
                self._rest = text[until:]
                break
        return "".join(shown) if self._sequences else self._lines("".join(shown))

    def _control(self, text: str, at: int, shown: list[str]) -> int:
        """Deal with the control character at `at`; returns where to go on, -1 when more is needed to tell."""
        if text[at] != "\x1b":
            if self._sequences and text[at] in _BELL_BACKSPACE_SHIFTS:
                shown.append(text[at])
            return at + 1
        if text[at : at + 2] in _STRINGS:
            self._in_string = True
            return at + 2
        sequence = _SEQUENCE.match(text, at)
        if sequence is not None:
            if self._sequences and _is_harmless(sequence):
                shown.append(sequence[0])
            return sequence.end()
        if _UNFINISHED.fullmatch(text, at) and len(text) - at < _LONGEST:
            return -1
        return at + 1

    def _lines(self, text: str) -> str:
        """Ends of lines as files have them; a return alone, which began a line anew, is dropped."""
        whole = text.rstrip("\r")
        self._rest = text[len(whole) :][:_LONGEST] + self._rest
        return whole.replace("\r", "")


def _is_harmless(sequence: re.Match[str]) -> bool:
    private, params, between, final, charset, _, single = sequence.groups()
    if single is not None:
        return single in _SINGLE
    if charset is not None:
        return True
    if private == "?":
        return not between and ((final in "hl" and set(params.split(";")) <= _MODES) or final in "JK")
    if private or between or _LONG_NUMBER.search(params):
        return False
    return set(params.split(";")) <= _ANSI_MODES if final in "hl" else final in _CSI
