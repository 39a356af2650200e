"""Lists of internet addresses."""

from __future__ import annotations

import pytest

from parse_clone.core.networks import Networks, parse_address


@pytest.mark.parametrize(
    ("members", "address", "belongs"),
    [
        (["127.0.0.1"], "127.0.0.1", True),
        (["127.0.0.1"], "127.0.0.2", False),
        (["10.0.1.0/24"], "10.0.1.200", True),
        (["10.0.1.7/24"], "10.0.1.200", True),
        (["10.0.1.0/24"], "::ffff:10.0.1.200", True),
        (["0.0.0.0/0"], "::1", False),
        (["::0"], "fe80::1", True),
        (["::"], "1.2.3.4", False),
        (["0.0.0.0"], "1.2.3.4", True),
        (["loopback"], "127.8.8.8", True),
        (["uniquelocal"], "192.168.1.1", True),
        (["linklocal"], "fe80::1", True),
        (["127.0.0.1"], "nowhere", False),
        ([], "127.0.0.1", False),
    ],
)
def test_addresses_belong_to_networks_of_their_kind(members: list[str], address: str, belongs: bool) -> None:
    networks = Networks(members)
    assert (address in networks) is belongs
    assert (address in networks) is belongs  # remembered


def test_what_is_remembered_is_bounded() -> None:
    networks = Networks(["10.0.0.0/8"])
    for number in range(10_001):
        assert f"11.{number >> 16}.{number >> 8 & 255}.{number & 255}" not in networks
    assert "10.1.1.1" in networks


def test_an_empty_list_is_false() -> None:
    assert not Networks([])
    assert Networks(["::1"])


def test_texts_that_are_no_addresses_are_none() -> None:
    assert parse_address("x") is None
