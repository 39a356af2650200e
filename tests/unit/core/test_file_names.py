"""Names, directories, extensions and types of files."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from parse_clone.core.file_names import (
    check_directory,
    check_extension,
    check_name,
    historic_url,
    is_stored_name,
    url_path,
    with_extension,
)
from parse_clone.core.file_types import is_active, served_type, type_of_name
from parse_clone.errors import ParseError

HARMLESS = (r"^(?!(?i:[xs]?html?|svgz?|xml)(?i:\+xml)?$)",)


@pytest.mark.parametrize("name", ["a", "a.txt", "_a b~c@d-1.tar.gz", "0" * 128])
def test_names_that_are_good(name: str) -> None:
    check_name(name)
    assert is_stored_name(name)


@pytest.mark.parametrize("name", ["", ".a", "-a", "a/b", "a\\b", "a\0", "a\n", "ä", "a%", "a" * 129])
def test_names_that_are_not(name: str) -> None:
    with pytest.raises(ParseError) as refusal:
        check_name(name)
    assert refusal.value.code == 122


@given(st.text())
def test_no_stored_name_leads_out_of_its_folder(name: str) -> None:
    if is_stored_name(name):
        assert not any(part in ("", ".", "..") or part.startswith(".") for part in name.split("/"))
        assert "\\" not in name
        assert "\0" not in name


@pytest.mark.parametrize("directory", ["labs", "labs/2026", "a b/c~d"])
def test_directories_that_are_good(directory: str) -> None:
    assert check_directory(directory) == directory


@pytest.mark.parametrize(
    "directory",
    [5, None, "", "a" * 257, "a/../b", "/a", "a/", "a//b", "metadata", "metadata/a", "a*b", "a/.b", "-a"],
)
def test_directories_that_are_not(directory: object) -> None:
    with pytest.raises(ParseError) as refusal:
        check_directory(directory)  # type: ignore[arg-type]
    assert refusal.value.code == 122


@pytest.mark.parametrize(
    ("name", "content_type", "allowed", "refused"),
    [
        ("a.html", None, ("*",), False),
        ("a.html", None, HARMLESS, True),
        ("a.HTML", None, HARMLESS, True),
        ("a.txt", "text/html", HARMLESS, False),
        ("a.txt", None, ("jpg",), True),
        ("a", "text/html", HARMLESS, True),
        ("a", "image/svg+xml", HARMLESS, True),
        ("a", "text/plain", HARMLESS, False),
        ("a", None, HARMLESS, False),
        ("a.", "text/html", HARMLESS, True),
        ("a.unknown", "text/html", HARMLESS, True),
        ("a.unknown", "text", HARMLESS, True),
        ("a.unknown", "application/x-thing; v=1", HARMLESS, False),
    ],
)
def test_extensions(name: str, content_type: str | None, allowed: tuple[str, ...], refused: bool) -> None:
    if not refused:
        check_extension(name, content_type, allowed)
        return
    with pytest.raises(ParseError) as refusal:
        check_extension(name, content_type, allowed)
    assert refusal.value.code == 130


@pytest.mark.parametrize(
    ("name", "content_type", "stored", "stored_type"),
    [
        ("a.txt", "image/png", "a.txt", "text/plain"),
        ("a", "text/plain; charset=latin1", "a.txt", "text/plain"),
        ("a.", "text/plain", "a.txt", "text/plain"),
        ("a", "application/x-thing", "a", "application/x-thing"),
        ("a", None, "a", "application/octet-stream"),
        ("a.thing", "application/x-thing", "a.thing", "application/x-thing"),
        ("a.thing", None, "a.thing", "application/octet-stream"),
    ],
)
def test_a_missing_extension_comes_from_the_type(
    name: str, content_type: str | None, stored: str, stored_type: str
) -> None:
    assert with_extension(name, content_type) == (stored, stored_type)


def test_paths_of_urls() -> None:
    assert url_path("my app", "labs/a b~'.txt") == "/files/my%20app/labs/a%20b~'.txt"


@pytest.mark.parametrize(
    ("key", "name", "url"),
    [
        (None, "tfss-1.txt", None),
        ("k", "tfss-1.txt", "http://files.parsetfss.com/k/tfss-1.txt"),
        (
            "k",
            "d6e80979-a128-4c57-a167-302f874700dc-1.txt",
            "http://files.parse.com/k/d6e80979-a128-4c57-a167-302f874700dc-1.txt",
        ),
        ("k", "a.txt", None),
    ],
)
def test_urls_of_files_that_stayed_behind(key: str | None, name: str, url: str | None) -> None:
    assert historic_url(key, name) == url


@pytest.mark.parametrize(
    ("name", "content_type"),
    [
        ("a.txt", "text/plain; charset=utf-8"),
        ("a.JSON", "application/json; charset=utf-8"),
        ("a.dcm", "application/dicom"),
        ("a.b/c", "application/octet-stream"),
        ("pdf", "application/pdf"),
    ],
)
def test_what_a_name_is_served_as(name: str, content_type: str) -> None:
    assert served_type(name) == content_type


def test_what_a_browser_would_run() -> None:
    assert type_of_name("a") is None
    for name in ("a.html", "a.svg", "a.xml", "a.js", "a.xhtml", "a.swf", "a.rdf"):
        assert is_active(served_type(name)), name
    for name in ("a.png", "a.pdf", "a.txt", "a.zip", "a"):
        assert not is_active(served_type(name)), name
