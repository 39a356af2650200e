"""SQLite's names and queries, as values: clients' texts never become SQL, different names stay different."""

from __future__ import annotations

import re
from itertools import combinations

from hypothesis import given
from hypothesis import strategies as st

from parse_clone.adapters.storage.sqlite.layout import (
    ClassLayout,
    encode_row,
    grantee,
    index_name,
    quote_name,
    table_name,
)
from parse_clone.adapters.storage.sqlite.query_compiler import (
    FALSE,
    TRUE,
    all_of,
    any_of,
    compile_page,
    negation,
    starts_with,
)
from parse_clone.core.json_types import JsonObject
from parse_clone.core.query import (
    AllOf,
    Compare,
    Condition,
    ContainsAllPrefixes,
    Exists,
    In,
    Page,
    ReadableBy,
    Regex,
    SortKey,
    TextSearch,
    WritableBy,
)
from tests.strategies import SCHEMA

LAYOUT = ClassLayout(SCHEMA)


def test_tables_of_different_classes_have_different_names_whatever_the_case() -> None:
    names = ["Post", "post", "POST", "pOst", "^post", "_Join:a:B", "_Join:A:b", "_SCHEMA", "sqlite_master"]
    tables = [table_name(name) for name in names]
    assert all(one.lower() != other.lower() for one, other in combinations(tables, 2))
    assert not any(table.startswith("sqlite_") for table in tables)
    assert index_name("Post", "a") != index_name("post", "a") != index_name("post", "A")


def test_names_are_quoted() -> None:
    assert quote_name('a"b') == '"a""b"'


@given(principal=st.text(max_size=4), granted=st.lists(st.text(max_size=4), max_size=3, unique=True))
def test_a_principal_is_found_in_a_list_exactly_if_it_is_there(principal: str, granted: list[str]) -> None:
    acl: JsonObject = {name: {"read": True} for name in granted}
    _, readers, writers, _ = encode_row({"objectId": "a", "ACL": acl})
    assert readers is not None
    assert (grantee(principal) in readers) == (principal in granted)
    assert writers == "\n"


@given(text=st.text(alphabet="abcXYZ'\"\\-;? \u00e9", min_size=6, max_size=12))
def test_texts_of_clients_are_parameters(text: str) -> None:
    conditions: tuple[Condition, ...] = (
        In("name", (text,)),
        In("tags", (text,)),
        In("unknown", (text, 1)),
        Compare("vitals.pulse", "<", text),
        ContainsAllPrefixes("name", (text,)),
        Regex("name", f"\\Q{text}\\E"),
        TextSearch("name", text),
        ReadableBy(frozenset({text})),
        WritableBy(frozenset(text + str(n) for n in range(20))),
    )
    query = compile_page(LAYOUT, AllOf(conditions), Page(order=(SortKey("name"),)))
    assert query is not None
    assert text not in query.text


@given(path=st.text(min_size=1, max_size=8))
def test_paths_of_clients_are_names_or_left_to_the_matcher(path: str) -> None:
    query = compile_page(LAYOUT, Exists(f"vitals.{path}", True), Page())
    assert query is not None
    if not re.fullmatch(r"[\w.-]+", path):
        assert query.text == f"SELECT doc FROM {LAYOUT.source} WHERE call(?, doc)"


def test_logic_leaves_out_what_is_known() -> None:
    part = LAYOUT.place("name").value
    known = starts_with(part, "a")
    assert all_of([TRUE, known]) == known
    assert all_of([known, FALSE]) is FALSE
    assert any_of([FALSE, known]) == known
    assert any_of([known, TRUE]) is TRUE
    assert all_of([]) is TRUE
    assert any_of([]) is FALSE
    assert negation(TRUE) is FALSE
    assert negation(FALSE) is TRUE
    assert starts_with(part, "\U0010ffff").parameters == ("\U0010ffff",)
    assert starts_with(part, "a\U0010ffff").parameters == ("a\U0010ffff", "b")
