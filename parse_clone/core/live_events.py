"""Which event a change is for one subscriber."""

from __future__ import annotations

from enum import Enum


class LiveEvent(Enum):
    """The value is the `op` on the wire."""

    CREATE = "create"
    ENTER = "enter"
    UPDATE = "update"
    LEAVE = "leave"
    DELETE = "delete"


def saved_event(*, existed: bool, was_visible: bool, is_visible: bool) -> LiveEvent | None:
    """Name what a save is for a subscriber to whom a state is visible if it matches his query and he may read
    it; None if nothing. `existed`: there was a state before."""
    if existed and was_visible:
        return LiveEvent.UPDATE if is_visible else LiveEvent.LEAVE
    if not is_visible:
        return None
    return LiveEvent.ENTER if existed else LiveEvent.CREATE


def deleted_event(*, was_visible: bool) -> LiveEvent | None:
    """Name what a deletion is for a subscriber."""
    return LiveEvent.DELETE if was_visible else None
