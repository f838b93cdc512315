"""The toolbar below the prompt: what the agent last said, and what it says about the line. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from prompt_toolkit.formatted_text import StyleAndTextTuples

from pactsh.shell.report import columns_of, visible
from pactsh.shell.wire import Frame

Fragments = StyleAndTextTuples

LAST_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class State:
    """A `state` frame. None is what the agent doesn't know; `window_s` counts from `received_at`."""

    who: str
    role: str
    state: str
    drift: int | None
    window_s: float | None
    journal: bool
    emergency: bool
    received_at: float
    policy: str = ""

    @classmethod
    def of(cls, frame: Frame, now: float) -> State:
        """Read a `state` frame received at monotonic time `now`."""
        drift, window = frame.value("drift"), frame.value("window_s")
        return cls(
            who=visible(frame.text("who")),
            role=visible(frame.text("role")),
            state=visible(frame.text("state")),
            drift=drift if isinstance(drift, int) else None,
            window_s=float(window) if isinstance(window, int | float) else None,
            journal=frame.flag("journal"),
            emergency=frame.flag("emergency"),
            received_at=now,
            policy=frame.text("policy"),
        )

    def window_left_s(self, now: float) -> float | None:
        """Seconds until the commit window ends, None when none is open."""
        return None if self.window_s is None else max(0.0, self.window_s - (now - self.received_at))


@dataclass(frozen=True, slots=True)
class Message:
    """What is wrong with the line being typed: `malformed` or `refused`, and why."""

    what: str
    reason: str


def refresh_interval_s(state: State | None, now: float) -> float:
    """How long a shown state is good for: a second, less when the window is about to end."""
    left = None if state is None else state.window_left_s(now)
    return 0.1 if left is not None and 0 < left <= LAST_SECONDS else 1.0


@dataclass(frozen=True, slots=True)
class _Part:
    """A piece of the toolbar. On a narrow terminal the pieces with the lowest `weight` go first."""

    weight: int
    style: str
    text: str


def render_toolbar(
    state: State | None, message: Message | None, now: float, columns: int, *, connected: bool = True
) -> Fragments:
    """Return styled text of at most `columns` columns; the message about the line stands first."""
    parts: list[_Part] = []
    if message is not None:
        parts.append(_Part(9, "class:toolbar.error", f" {message.what}: {message.reason} "))
    if not connected:
        parts.append(_Part(8, "class:toolbar.alert", " agent: not connected "))
    elif state is not None:
        parts += _state_parts(state, now)
    while len(parts) > 1 and sum(columns_of(part.text) for part in parts) > columns:
        parts.remove(min(parts, key=lambda part: part.weight))
    return [(part.style, _cut(part.text, columns)) for part in parts]


def _state_parts(state: State, now: float) -> list[_Part]:
    parts = [
        _Part(3, "class:toolbar.who", f" {state.who or '?'} "),
        _Part(2, "class:toolbar", f" {state.role or '?'} "),
        _Part(4, "class:toolbar", f" {state.state or '?'} "),
    ]
    if state.emergency:
        parts.insert(0, _Part(8, "class:toolbar.alert", " EMERGENCY "))
    if state.drift is not None:
        style = "class:toolbar.warning" if state.drift else "class:toolbar"
        parts.append(_Part(5 if state.drift else 1, style, f" drift {state.drift} "))
    left = state.window_left_s(now)
    if left is not None:
        style = "class:toolbar.alert" if left <= LAST_SECONDS else "class:toolbar.warning"
        parts.append(_Part(7, style, f" window {_clock(left)} "))
    if state.journal:
        parts.append(_Part(0, "class:toolbar", " journal ok "))
    else:
        parts.append(_Part(6, "class:toolbar.alert", " journal unreachable "))
    return parts


def _cut(text: str, columns: int) -> str:
    """Cut text that alone is too wide; the cut shows."""
    while columns_of(text) > columns:
        text = text[:-2] + "~" if len(text) > 1 else ""
    return text


def _clock(left_s: float) -> str:
    """Render a duration; tenths only at the very end.

    >>> _clock(754.2), _clock(7.25), _clock(4000)
    ('12:34', '7.2s', '1:06:40')
    """
    if left_s <= LAST_SECONDS:
        return f"{left_s:.1f}s"
    minutes, seconds = divmod(int(left_s), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"
