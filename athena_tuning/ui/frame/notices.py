"""Messages after an action or a failure: short, in words, never a stack trace."""

from __future__ import annotations

import logging
import uuid
from collections.abc import Callable
from typing import Any

import streamlit as st

from athena_tuning.service import text
from athena_tuning.service.roles import NotAllowed
from athena_tuning.store import ConfigConflict, StoreError

logger = logging.getLogger(__name__)

_KEY = "notice"
CONFLICT = "conflict"
"""Session key of the conflict that the Config page shows."""


def act(action: Callable[[], object], done: str = "") -> None:
    """Do something for the person at the page, and keep in mind what to say of it on the next run.

    Meant for callbacks. What is refused or fails is shown; nothing is raised.

    Args:
        action: what to do.
        done: what to say when it is done; nothing if empty.
    """
    try:
        action()
    except ConfigConflict as conflict:
        st.session_state[CONFLICT] = conflict
        _keep("warning", f"Not applied: {conflict}")
    except (NotAllowed, ValueError) as refusal:
        _keep("warning", str(refusal))
    except StoreError as failure:
        _keep("error", f"The store could not do it, nothing has changed. {failure}")
    except Exception:  # noqa: BLE001 (whatever it is, it is shown and logged)
        _keep("error", f"That failed, and nothing is known to have changed. {_logged('an action')}")
    else:
        st.session_state.pop("as_of", None)
        if done:
            _keep("success", done)


def show() -> None:
    """Show what is to be said, once."""
    kept = st.session_state.pop(_KEY, None)
    if kept is None:
        return
    level, words = kept
    shown = text.markdown(words, 400)
    if level == "success":
        st.toast(shown, icon=":material/check_circle:")
    elif level == "warning":
        st.warning(shown, icon=":material/block:")
    else:
        st.error(shown, icon=":material/error:")


def guarded(body: Callable[..., Any], *args: Any) -> Any:
    """Draw a part of a page; if it fails, say so in its place and go on."""
    try:
        return body(*args)
    except StoreError as failure:
        st.error(
            f"The store cannot be read. {text.markdown(failure, 300)} This page tries again by itself.",
            icon=":material/cloud_off:",
        )
    except Exception:  # noqa: BLE001 (whatever it is, it is shown and logged)
        st.error(f"This part cannot be shown. {_logged('a page')}", icon=":material/error:")
    return None


def _keep(level: str, words: str) -> None:
    st.session_state[_KEY] = (level, words)


def _logged(where: str) -> str:
    reference = uuid.uuid4().hex[:8]
    logger.exception("%s failed (%s)", where, reference)
    return f"The log has the details under {reference}."
