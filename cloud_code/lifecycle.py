"""The states of records: which follow which, who may bring them about, and when a record is published."""

from __future__ import annotations

from datetime import UTC, datetime

from cloud_code.access import Write
from cloud_code.cases import invalid, refused
from cloud_code.rules import Kinds, Lifecycle
from parse_clone.cloud import ParseObject


async def follow(write: Write) -> None:
    """Bring a save in line with the record's lifecycle, or refuse it."""
    lifecycle = write.record.lifecycle
    if lifecycle is None:
        return
    if lifecycle.state is not None:
        enter_state(write, lifecycle, lifecycle.state)
    count_version(write, lifecycle)
    stamp_publication(write, lifecycle)


def enter_state(write: Write, lifecycle: Lifecycle, field: str) -> None:
    """Decide the state that the record has after this save."""
    name = write.record.class_name
    before = None if write.original is None else write.original.get(field)
    if write.is_new:
        after = write.object.get(field) or lifecycle.initial[0]
        if after not in lifecycle.initial:
            raise invalid(f"A new {name} is {either(lifecycle.initial)}, not {after}.")
    else:
        after = state_after(write, lifecycle, field, before)
    write.object[field] = after
    if after is not None and after != before:
        check_kind(write, after, lifecycle.only.get(after))


def state_after(write: Write, lifecycle: Lifecycle, field: str, before: str | None) -> str | None:
    """The state after a change: the one that is asked for, or the one that changed content leads to."""
    name, after = write.record.class_name, write.object.get(field)
    content = content_changed(write, lifecycle)
    if content and before in lifecycle.closed:
        raise invalid(f"A {name} that is {before} cannot be changed.")
    if after == before:
        return lifecycle.on_change.get(before or "", before) if content else before
    allowed = lifecycle.next.get(before or "")
    if allowed is None and after in lifecycle.next:
        return str(after)  # a state from before these rules
    if after not in (allowed or ()):
        can = f"can become {either(allowed)}" if allowed else "stays as it is"
        raise invalid(f"A {name} that is {before} {can}, not {after}.")
    return str(after)


def content_changed(write: Write, lifecycle: Lifecycle) -> list[str]:
    """The changed fields that are not about the lifecycle itself."""
    own = (lifecycle.state, lifecycle.published_at, lifecycle.version)
    return [name for name in write.changed if name not in own]


def check_kind(write: Write, state: str, kinds: Kinds | None) -> None:
    """Refuse a state to those who may not bring it about, the master key included."""
    if kinds is not None and not write.kinds & kinds:
        who = either(tuple(sorted(kind.value for kind in kinds)))
        raise refused(f"Only the {who} can make a {write.record.class_name} {state}.")


def count_version(write: Write, lifecycle: Lifecycle) -> None:
    """Number the versions of a record, if it has a field for it."""
    if lifecycle.version is None:
        return
    if write.original is None:
        write.object[lifecycle.version] = 1
    elif content_changed(write, lifecycle):
        write.object[lifecycle.version] = int(write.original.get(lifecycle.version) or 1) + 1
    else:
        write.object.revert(lifecycle.version)


def stamp_publication(write: Write, lifecycle: Lifecycle) -> None:
    """Set when a record was published; what a client says about it does not count."""
    field = lifecycle.published_at
    if field is None:
        return
    if is_published(lifecycle, write.original, write.object):
        write.object[field] = datetime.now(UTC)
    elif lifecycle.state is not None and field in write.object.pending:
        write.object.revert(field)


def is_published(lifecycle: Lifecycle, before: ParseObject | None, after: ParseObject) -> bool:
    """Does this save publish the record, for the first time or anew?"""
    if lifecycle.state is None:
        version = lifecycle.version
        return before is None or (version is not None and before.get(version) != after.get(version))
    state = after.get(lifecycle.state)
    former = None if before is None else before.get(lifecycle.state)
    return state in lifecycle.published and (state != former or state == "amended")


def either(names: tuple[str, ...]) -> str:
    """Names in a sentence."""
    return " or ".join(names)
