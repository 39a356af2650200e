from __future__ import annotations

import pytest

from parse_clone.core.draft import Draft
from parse_clone.core.json_types import JsonObject
from parse_clone.core.operations import Increment, Remove, Set, SetOnInsert
from parse_clone.errors import ParseError


def test_a_new_object_is_what_its_operations_make() -> None:
    draft = Draft(
        "Patient", None, None, {"age": Increment(2), "tags": Remove(("x",)), "by": SetOnInsert("me")}
    )
    assert draft.is_new
    assert draft.current == {"age": 2, "tags": [], "by": "me"}
    assert draft.get("age") == 2
    assert draft.get("ghost") is None


def test_a_stored_object_changes_by_its_operations() -> None:
    original: JsonObject = {"objectId": "p", "age": 40}
    draft = Draft("Patient", "p", original, {"age": Increment(2), "by": SetOnInsert("me")})
    assert not draft.is_new
    assert draft.current == {"objectId": "p", "age": 42}
    draft.revert("age")
    draft.revert("ghost")
    assert draft.current == original


def test_what_a_hook_sets_is_checked_like_what_a_client_sends() -> None:
    draft = Draft("Patient", None, None, {})
    draft.set("scan", {"__type": "File", "name": "a.pdf", "url": "https://evil.example/a.pdf"})
    draft.set("ACL", {"role:A.B": {"read": True}})
    assert draft.operations == {
        "scan": Set({"__type": "File", "name": "a.pdf"}),
        "ACL": Set({"role:A.B": {"read": True}}),
    }
    with pytest.raises(ParseError):
        draft.set("meta", {"$where": 1})
