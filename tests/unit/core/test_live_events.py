from __future__ import annotations

import pytest

from parse_clone.core.live_events import LiveEvent, deleted_event, saved_event


@pytest.mark.parametrize(
    ("existed", "was_visible", "is_visible", "event"),
    [
        (False, False, True, LiveEvent.CREATE),
        (False, False, False, None),
        (True, False, True, LiveEvent.ENTER),
        (True, True, True, LiveEvent.UPDATE),
        (True, True, False, LiveEvent.LEAVE),
        (True, False, False, None),
    ],
)
def test_a_save_is_named_by_what_the_subscriber_saw_and_sees(
    existed: bool, was_visible: bool, is_visible: bool, event: LiveEvent | None
) -> None:
    assert saved_event(existed=existed, was_visible=was_visible, is_visible=is_visible) is event


def test_a_deletion_is_told_to_those_who_saw_the_object() -> None:
    assert deleted_event(was_visible=True) is LiveEvent.DELETE
    assert deleted_event(was_visible=False) is None
