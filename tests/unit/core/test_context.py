from __future__ import annotations

import pytest

from parse_clone.core.context import MASTER, NOBODY, Auth, Privilege


@pytest.mark.parametrize(
    ("auth", "is_master", "is_read_only", "is_maintenance", "is_privileged"),
    [
        (NOBODY, False, False, False, False),
        (Auth(user={"objectId": "ada"}), False, False, False, False),
        (MASTER, True, False, False, True),
        (Auth(Privilege.READ_ONLY_MASTER), True, True, False, True),
        (Auth(Privilege.MAINTENANCE), False, False, True, True),
    ],
)
def test_keys_make_callers_privileged(
    auth: Auth, is_master: bool, is_read_only: bool, is_maintenance: bool, is_privileged: bool
) -> None:
    assert auth.is_master is is_master
    assert auth.is_read_only is is_read_only
    assert auth.is_maintenance is is_maintenance
    assert auth.is_privileged is is_privileged


def test_principals_are_the_public_the_user_and_the_roles() -> None:
    doctor = Auth(user={"objectId": "ada"}, roles=("Doctor", "Staff"))
    assert doctor.user_id == "ada"
    assert doctor.principals == {"*", "ada", "role:Doctor", "role:Staff"}
    assert NOBODY.user_id is None
    assert NOBODY.principals == {"*"}
