"""What to say of a layer's failure, whatever it raised or returned: this never fails itself."""

from __future__ import annotations

import signal
import threading
from functools import partial
from types import CodeType, FunctionType, MethodType
from typing import Any

from athena_tuning.model import TaskOutcome

MAX_TEXT = 500
"""Characters of an error that are kept."""


class UnreadableAnswer(Exception):
    """A layer returned something that is no answer; the text says what."""


_TRACEBACK = BaseException.__dict__["__traceback__"]
_LOOP_HINTS = ("different loop", "different event loop", "Event loop is closed")


def describe(exc: BaseException) -> tuple[str, TaskOutcome]:
    """Return what to say of a layer's exception, and which outcome it is."""
    kind, name, text = type(exc), type_name(exc), _text_of(exc)  # isinstance asks a stranger's __class__
    if issubclass(kind, TimeoutError):
        return text or "timed out", TaskOutcome.TIMEOUT
    if issubclass(kind, UnreadableAnswer):
        return f"its answer cannot be read: {text}", TaskOutcome.ERROR
    if issubclass(kind, RuntimeError) and any(hint in text for hint in _LOOP_HINTS):
        text += " (what it uses belongs to another event loop; its event_loop can be 'caller' or 'manager')"
    return f"{name}: {text}" if text else name, TaskOutcome.ERROR


def brief(value: Any, length: int = 80) -> str:
    """Return a value's ``repr``, cut; its type's name where it has none."""
    try:
        return clean(repr(value)[:length])
    except BaseException:  # noqa: BLE001  (a stranger's repr)
        return f"a {type_name(value)} that cannot be shown"


def type_name(value: Any) -> str:
    """Return the name of a value's type, also where a metaclass hides it."""
    try:
        return clean(str(type.__getattribute__(type(value), "__name__"))[:MAX_TEXT])
    except BaseException:  # noqa: BLE001  (a stranger's metaclass)
        return "object"


def clean(text: str) -> str:
    """Return a text that can be stored and sent: cut, and without halves of characters."""
    return text[:MAX_TEXT].encode("utf-8", "backslashreplace").decode("utf-8")


def is_callers_own(exc: BaseException) -> bool:
    """Whether an exception that came up in a layer's call on the caller's own thread is meant for the caller.

    It is if a signal handler raised it: Python runs handlers in the main thread, in the middle of whatever
    it does there. ``KeyboardInterrupt`` has a handler without a frame.
    """
    if threading.current_thread() is not threading.main_thread():
        return False
    if issubclass(type(exc), KeyboardInterrupt):
        return True
    handlers = _handler_codes()
    trace = _TRACEBACK.__get__(exc)  # not by way of a stranger's __getattribute__
    while trace is not None:
        if trace.tb_frame.f_code in handlers:
            return True
        trace = trace.tb_next
    return False


def _handler_codes() -> set[CodeType]:
    codes = set()
    for number in signal.valid_signals():
        handler: Any = signal.getsignal(number)
        while isinstance(handler, partial):
            handler = handler.func
        if not isinstance(handler, (FunctionType, MethodType)):
            handler = getattr(type(handler), "__call__", None)  # noqa: B004  (an object with a method)
        if isinstance(handler, MethodType):
            handler = handler.__func__
        if isinstance(handler, FunctionType):
            codes.add(handler.__code__)
    return codes


def _text_of(exc: BaseException) -> str:
    try:
        return clean(str(exc)[:MAX_TEXT])
    except BaseException:  # noqa: BLE001  (a stranger's str)
        return "its text cannot be made"
