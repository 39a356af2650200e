"""Lists of internet addresses."""

from __future__ import annotations

import pytest

from parse_clone.core.networks import Networks, is_public, parse_address


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


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("93.184.215.14", True),
        ("2606:2800:21f:cb07:6820:80da:af6b:8b2c", True),
        ("64:ff9b::5db8:d70e", True),
        ("127.0.0.1", False),
        ("10.0.0.8", False),
        ("169.254.169.254", False),
        ("100.64.0.1", False),
        ("0.0.0.0", False),
        ("224.0.0.1", False),
        ("::1", False),
        ("::", False),
        ("fe80::1%eth0", False),
        ("fd00::1", False),
        ("ff02::1", False),
        ("::ffff:127.0.0.1", False),
        ("::ffff:93.184.215.14", True),
        ("::127.0.0.1", False),
        ("64:ff9b::7f00:1", False),
        ("64:ff9b::a00:8", False),
        ("2002:7f00:1::", False),
        ("2002:a00:8::", False),
        ("2001:0:7f00:1::", False),
        ("example.org", False),
    ],
)
def test_an_address_is_as_public_as_the_one_it_carries(address: str, expected: bool) -> None:
    assert is_public(address) is expected
