"""Conditions and pages to SQL.

The meaning is `core.matcher`'s. What SQL says exactly is said in SQL; for the rest the row's text is handed
to the matcher itself, which the function `call` runs, and SQL only rules out what cannot match. A leaf is
compiled to `None` where nothing but the matcher can tell: neighbours of that kind share one call.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from math import degrees
from typing import Final, TypeAlias, assert_never

import apsw
import orjson

from parse_clone.adapters.storage.sqlite.layout import ClassLayout, Kind, Place, Sql, grantee
from parse_clone.core import geo
from parse_clone.core.comparison import equality_key
from parse_clone.core.json_types import Json
from parse_clone.core.matcher import compile_matcher
from parse_clone.core.query import (
    AllOf,
    AnyOf,
    Compare,
    Condition,
    ContainedBy,
    ContainsAll,
    ContainsAllPrefixes,
    Exists,
    GeoPoint,
    In,
    Near,
    NoneOf,
    NotIn,
    Page,
    PolygonContains,
    ReadableBy,
    Regex,
    TextSearch,
    WithinBox,
    WithinPolygon,
    WithinSphere,
    WritableBy,
    leaves,
)
from parse_clone.core.regex import compile_regex, quoted_prefix
from parse_clone.core.text_search import compile_text_score
from parse_clone.core.values import encode_date

TRUE: Final = Sql("1")
FALSE: Final = Sql("0")

_MOST_NODES = 200  # the rest of a tree is left to the matcher: SQLite bounds the depth of expressions
_MOST_ALTERNATIVES = 8  # values and principals that are spelled out one by one

Scalar: TypeAlias = "str | int | float"


# --- Whole queries ---------------------------------------------------------------------------------------


def compile_matches(
    layout: ClassLayout,
    where: Condition,
    columns: str = "doc",
    ending: str = "",
    *,
    case_insensitive: bool = False,
) -> Sql:
    """Compile a query for columns of all rows that match."""
    condition = _Compiler(layout, case_insensitive).compile_tree(where)
    return Sql(f"SELECT {columns} FROM {layout.source} WHERE {condition.text} {ending}", condition.parameters)


def compile_page(layout: ClassLayout, where: Condition, page: Page, columns: str = "doc") -> Sql | None:
    """Compile a query for columns of the rows of a page; None where only the core can sort them."""
    compiler = _Compiler(layout, page.case_insensitive)
    text, parameters = compiler.compile_tree(where)
    order = _order(layout, page) if page.order else _nearest_first(layout, compiler.nears)
    if order is None or (page.keys is not None and "$score" in page.keys):
        return None
    text = f"SELECT {columns} FROM {layout.source} WHERE {text}"
    if order.text:
        text += f" ORDER BY {order.text}"
        parameters += order.parameters
    if page.limit is not None or page.skip:
        text += " LIMIT ? + 0 OFFSET ?"  # a plain `?` would make SQLite plan anew for every limit
        parameters += (-1 if page.limit is None else page.limit, page.skip)
    return Sql(text, parameters)


def _order(layout: ClassLayout, page: Page) -> Sql | None:
    """Compile an order; None where only the core can sort."""
    terms = []
    for key in page.order:
        place = layout.place(key.path)
        if place.kind not in _SORTED_KINDS:
            return None
        terms.append(f"{place.value} DESC" if key.descending else place.value)
    return Sql(", ".join(terms))


# Of one type and never arrays; and SQLite has nulls first, as Parse does.
_SORTED_KINDS = frozenset({Kind.TEXT, Kind.NUMBER, Kind.BOOLEAN, Kind.DATE, Kind.POINTER})


def _nearest_first(layout: ClassLayout, nears: Sequence[Near]) -> Sql | None:
    if not nears:
        return Sql("")
    place = layout.place(nears[0].path)
    if len(nears) > 1 or place.kind is not Kind.POINT:
        return None
    distance = _distance(place, nears[0].point)
    return Sql(f"{distance.text} NULLS LAST", distance.parameters)


# --- Trees -----------------------------------------------------------------------------------------------


class _Compiler:
    def __init__(self, layout: ClassLayout, case_insensitive: bool) -> None:
        self._layout = layout
        self._case_insensitive = case_insensitive
        self._nodes = 0
        self.nears: list[Near] = []

    def compile_tree(self, where: Condition) -> Sql:
        """Compile a whole condition, and take notice of what it is near to."""
        found = self.compile(where) or self.ask_matcher(where)
        if self._nodes > _MOST_NODES:
            self.nears = [leaf for leaf in leaves(where) if isinstance(leaf, Near)]
        return found

    def compile(self, condition: Condition) -> Sql | None:
        self._nodes += 1
        if self._nodes > _MOST_NODES:
            return None
        match condition:
            case AllOf(parts):
                return self._join(parts, all_of, AllOf)
            case In(path, values):
                return self._in(path, values)
            case ReadableBy(principals):
                return _granted("readers", principals)
            case WritableBy(principals):
                return _granted("writers", principals)
            case AnyOf(parts):
                return self._join(parts, any_of, AnyOf)
            case NoneOf(parts):
                found = self._join(parts, any_of, AnyOf)
                return None if found is None else negation(found)
            case NotIn(path, values):
                found = self._in(path, values)
                return None if found is None else negation(found)
            case ContainsAll(path, values):
                return self._contains_all(condition) if values else FALSE
            case Compare(path, operator, value):
                return self._compare(condition, self._layout.place(path), operator, value)
            case Exists(path, present):
                found = self._exists(path)
                return found if present or found is None else negation(found)
            case ContainedBy(path):
                return TRUE if self._layout.place(path).kind in _SINGLE_VALUES else None
            case Regex(path, pattern, flags):
                return self._regex(self._layout.place(path), pattern, flags)
            case ContainsAllPrefixes(path, prefixes):
                return self._prefixes(self._layout.place(path), prefixes)
            case TextSearch(path):
                score = compile_text_score(condition)
                return _test_text(self._layout.place(path), lambda text: score(text) > 0)
            case Near(path, point, radius):
                self.nears.append(condition)
                return _within_distance(self._layout.place(path), point, radius)
            case WithinSphere(path, point, radius):
                return _within_distance(self._layout.place(path), point, radius)
            case WithinBox(path, southwest, northeast):
                return _within_box(self._layout.place(path), southwest, northeast)
            case WithinPolygon(path, ring):
                return _within_polygon(self._layout.place(path), ring)
            case PolygonContains():
                return None
            case _:
                assert_never(condition)

    def ask_matcher(self, condition: Condition) -> Sql:
        """Call the matcher on the row's text."""
        matches = compile_matcher(condition, case_insensitive=self._case_insensitive)
        return call(lambda text: matches(orjson.loads(text)), "doc")

    def _join(
        self,
        parts: Sequence[Condition],
        join: Callable[[Iterable[Sql]], Sql],
        node: type[AllOf[Condition]] | type[AnyOf[Condition]],
    ) -> Sql | None:
        said: list[Sql] = []
        unsaid: list[Condition] = []
        for part in parts:
            found = self.compile(part)
            if found is None:
                unsaid.append(part)
            else:
                said.append(found)
        if not unsaid:
            return join(said)
        if not said:
            return None
        return join([*said, self.ask_matcher(unsaid[0] if len(unsaid) == 1 else node(tuple(unsaid)))])

    def _or_irregular(self, place: Place, regular: Sql, condition: Condition) -> Sql:
        """Say it for rows with at most one scalar at the place, and ask the matcher about the few others."""
        asked = self.ask_matcher(condition)
        return any_of([regular, Sql(f"({place.irregular} = 1 AND {asked.text})", asked.parameters)])

    # --- Equality -----------------------------------------------------------------------------------------

    def _in(self, path: str, values: Sequence[Json]) -> Sql | None:
        place = self._layout.place(path)
        if place.kind is Kind.TEXT and all(type(value) is str for value in values):  # the usual case
            return self._equals(place, values)  # type: ignore[arg-type]
        operands = _Operands(values)
        if operands.unsayable:
            return None
        match place.kind:
            case Kind.SCALARS:
                regular = self._in_scalars(place, operands)
                return self._or_irregular(place, regular, In(path, tuple(values)))
            case Kind.STRUCTURE | Kind.OPAQUE | Kind.POINT:
                return self._in_structure(place, operands, In(path, tuple(values)))
        found = [self._equals(place, _fitting(place, operands))]
        if operands.has_null:
            found.append(Sql(f"{place.value} IS NULL"))
        return any_of(found)

    def _equals(self, place: Place, operands: Sequence[Scalar]) -> Sql:
        if self._case_insensitive and place.kind in (Kind.TEXT, Kind.SCALARS):
            folded = [value.casefold() if isinstance(value, str) else value for value in operands]
            return equals_one_of(f"casefold({place.value})", folded)
        return equals_one_of(place.value, operands)

    def _in_scalars(self, place: Place, operands: _Operands) -> Sql:
        found = []
        if operands.texts:
            found.append(_typed(self._equals(place, operands.texts), place, "= 'text'"))
        if operands.numbers:
            found.append(_typed(equals_one_of(place.value, operands.numbers), place, _NUMERIC))
        found += [Sql(f"{place.json_type} = '{'true' if value else 'false'}'") for value in operands.booleans]
        if operands.has_null:  # an array on the way may lead to nothing at all, not even to null
            found.append(Sql(f"({_is_null(place).text} AND {place.irregular} IS NULL)"))
        return any_of(found)

    def _in_structure(self, place: Place, operands: _Operands, condition: In) -> Sql | None:
        if operands.only_null and place.kind is Kind.POINT:
            return _is_null(place)
        if self._case_insensitive or not operands.only_texts or len(operands.needles) > _MOST_ALTERNATIVES:
            return None
        # A row can only match if its text holds the text of one of the values.
        asked = self.ask_matcher(condition)
        holds = any_of(Sql("instr(doc, ?) > 0", (needle,)) for needle in operands.needles)
        return all_of([holds, asked])

    def _contains_all(self, condition: ContainsAll) -> Sql | None:
        parts = tuple(In(condition.path, (value,)) for value in condition.values)
        return self.compile(AllOf(parts)) if len(parts) <= _MOST_ALTERNATIVES else None

    # --- Order, presence ----------------------------------------------------------------------------------

    def _compare(self, condition: Compare, place: Place, operator: str, value: Json) -> Sql | None:
        operands = _Operands((value,))
        if operands.unsayable or place.kind in (Kind.STRUCTURE, Kind.OPAQUE):
            return None
        if place.kind is Kind.SCALARS:
            regular = _compare_scalars(place, operator, operands)
            return self._or_irregular(place, regular, condition)
        if place.kind in (Kind.POINTER, Kind.POINT):
            return FALSE  # they have an order only when sorted
        fitting = _fitting(place, operands)
        return Sql(f"{place.value} {operator} ?", tuple(fitting)) if fitting else FALSE

    def _exists(self, path: str) -> Sql | None:
        place = self._layout.place(path)
        if place.kind is Kind.OPAQUE:
            return None
        present = Sql(f"{place.json_type} IS NOT NULL")
        return self._or_irregular(place, present, Exists(path, True)) if "." in path else present

    # --- Texts --------------------------------------------------------------------------------------------

    def _regex(self, place: Place, pattern: str, flags: str) -> Sql | None:
        search = compile_regex(pattern, flags)  # refuses bad expressions, whatever the place
        prefix = quoted_prefix(pattern) if not set(flags) & {"i", "m"} else None
        if prefix is not None and place.kind is Kind.TEXT:
            return starts_with(place.value, prefix)
        return _test_text(place, search)

    def _prefixes(self, place: Place, prefixes: Sequence[str]) -> Sql | None:
        if not prefixes or place.kind in _NEVER_TEXT:
            return FALSE
        if place.kind is not Kind.TEXT or len(prefixes) > _MOST_ALTERNATIVES:
            return None
        return all_of(starts_with(place.value, prefix) for prefix in prefixes)


_SINGLE_VALUES = frozenset({Kind.TEXT, Kind.NUMBER, Kind.BOOLEAN, Kind.DATE, Kind.POINTER, Kind.POINT})
_NEVER_TEXT = _SINGLE_VALUES - {Kind.TEXT}
_NUMERIC = "IN ('integer', 'real')"


# --- Operands --------------------------------------------------------------------------------------------


class _Operands:
    """The values of a condition, sorted by type. `unsayable`: SQLite has no such number."""

    def __init__(self, values: Sequence[Json]) -> None:
        self.texts: list[str] = []
        self.numbers: list[int | float] = []
        self.booleans: list[bool] = []
        self.dates: list[str] = []
        self.pointers: list[tuple[str, str]] = []
        self.has_null = False
        self.unsayable = False
        others = 0
        for value in values:
            if isinstance(value, str):  # there may be a hundred thousand, which are their own keys
                self.texts.append(value)
                continue
            match equality_key(value):
                case None:
                    self.has_null = True
                case str(text):  # a file's key is its name
                    self.texts.append(text)
                case int() | float() as number:
                    self.numbers.append(number)
                    self.unsayable |= isinstance(number, int) and abs(number) >= 1 << 63
                case ("Boolean", bool(flag)):
                    self.booleans.append(flag)
                case ("Date", moment):
                    self.dates.append(encode_date(moment))  # type: ignore[arg-type]
                case ("Pointer", str(class_name), str(object_id)):
                    self.pointers.append((class_name, object_id))
                case _:
                    others += 1
        self.only_null = self.has_null and len(values) == 1
        self.only_texts = len(self.texts) + len(self.pointers) == len(values)

    @property
    def needles(self) -> list[str]:
        """What the text of a row holds that has one of the values: their own JSON."""
        found = [*self.texts, *(object_id for _, object_id in self.pointers)]
        return [orjson.dumps(text).decode() for text in found]


def _fitting(place: Place, operands: _Operands) -> Sequence[Scalar]:
    """Choose the operands that have the type of a place; a value of another type never equals."""
    match place.kind:
        case Kind.TEXT:
            return operands.texts
        case Kind.NUMBER:
            return operands.numbers
        case Kind.BOOLEAN:
            return operands.booleans
        case Kind.DATE:
            return operands.dates
        case Kind.POINTER:
            return [object_id for class_name, object_id in operands.pointers if class_name == place.target]
        case _:
            return ()


def _compare_scalars(place: Place, operator: str, operands: _Operands) -> Sql:
    value: Scalar
    if operands.texts:
        value, json_type = operands.texts[0], "= 'text'"
    elif operands.numbers:
        value, json_type = operands.numbers[0], _NUMERIC
    elif operands.booleans:
        value, json_type = operands.booleans[0], "IN ('true', 'false')"
    else:
        return FALSE
    return _typed(Sql(f"{place.value} {operator} ?", (value,)), place, json_type)


# --- Texts, places, rights -------------------------------------------------------------------------------


def _test_text(place: Place, test: Callable[[str], bool]) -> Sql | None:
    if place.kind is Kind.TEXT:
        return call(test, place.value)
    return FALSE if place.kind in _NEVER_TEXT else None


def starts_with(value: str, prefix: str) -> Sql:
    """Compare with a prefix as a range, which an index serves."""
    end = _end_of_prefix(prefix)
    at_least = Sql(f"{value} >= ?", (prefix,))
    return at_least if end is None else all_of([at_least, Sql(f"{value} < ?", (end,))])


def _end_of_prefix(prefix: str) -> str | None:
    """Find the least text behind all those with the prefix; None if there is none."""
    for place in range(len(prefix) - 1, -1, -1):
        code = ord(prefix[place])
        if code < 0x10FFFF:
            following = 0xE000 if 0xD7FF <= code < 0xE000 else code + 1  # no surrogates
            return prefix[:place] + chr(following)
    return None


_HAIRSBREADTH = 1e-6  # degrees: more than rounding can move a place


def _within_distance(place: Place, center: GeoPoint, radius: float | None) -> Sql | None:
    if place.kind is not Kind.POINT:
        return FALSE if place.kind in _SINGLE_VALUES else None
    latitude = place.member("latitude")
    if radius is None:
        return Sql(f"{latitude} IS NOT NULL")
    reach = degrees(radius) + _HAIRSBREADTH
    band = Sql(f"{latitude} BETWEEN ? AND ?", (center.latitude - reach, center.latitude + reach))
    distance = _distance(place, center)
    return all_of([band, Sql(f"{distance.text} <= ?", (*distance.parameters, radius))])


def _distance(place: Place, center: GeoPoint) -> Sql:
    def distance(latitude: float, longitude: float) -> float:
        return geo.distance(center, GeoPoint(latitude, longitude))

    return call(distance, place.member("latitude"), place.member("longitude"))


def _within_box(place: Place, southwest: GeoPoint, northeast: GeoPoint) -> Sql | None:
    if place.kind is not Kind.POINT:
        return FALSE if place.kind in _SINGLE_VALUES else None
    bounds = (southwest.latitude, northeast.latitude, southwest.longitude, northeast.longitude)
    latitude, longitude = place.member("latitude"), place.member("longitude")
    return Sql(f"({latitude} BETWEEN ? AND ? AND {longitude} BETWEEN ? AND ?)", bounds)


def _within_polygon(place: Place, ring: Sequence[GeoPoint]) -> Sql | None:
    if place.kind is not Kind.POINT or not ring:
        return None

    def is_inside(latitude: float, longitude: float) -> bool:
        return geo.is_in_polygon(GeoPoint(latitude, longitude), ring)

    latitudes, longitudes = [point.latitude for point in ring], [point.longitude for point in ring]
    southwest = GeoPoint(min(latitudes), min(longitudes))
    box = _within_box(place, southwest, GeoPoint(max(latitudes), max(longitudes)))
    inside = call(is_inside, place.member("latitude"), place.member("longitude"))
    return None if box is None else all_of([box, inside])


def _granted(column: str, principals: frozenset[str]) -> Sql:
    names = [grantee(principal) for principal in sorted(principals)]
    if len(names) > _MOST_ALTERNATIVES:
        listed = f"EXISTS (SELECT 1 FROM json_each(?) WHERE instr({column}, value))"
        return Sql(f"({column} IS NULL OR {listed})", (orjson.dumps(names).decode(),))
    return Sql(_granted_text(column, len(names)), tuple(names))


@lru_cache
def _granted_text(column: str, count: int) -> str:
    return f"({' OR '.join([f'{column} IS NULL', *([f'instr({column}, ?)'] * count)])})"


# --- SQL -------------------------------------------------------------------------------------------------


def all_of(parts: Iterable[Sql]) -> Sql:
    """Join by AND."""
    kept = []
    for part in parts:
        if part is FALSE:
            return FALSE
        if part is not TRUE:
            kept.append(part)
    return _joined(kept, " AND ") if kept else TRUE


def any_of(parts: Iterable[Sql]) -> Sql:
    """Join by OR."""
    kept = []
    for part in parts:
        if part is TRUE:
            return TRUE
        if part is not FALSE:
            kept.append(part)
    return _joined(kept, " OR ") if kept else FALSE


def _joined(parts: Sequence[Sql], word: str) -> Sql:
    if len(parts) == 1:
        return parts[0]
    parameters = tuple(parameter for part in parts for parameter in part.parameters)
    return Sql("(" + word.join(part.text for part in parts) + ")", parameters)


def negation(part: Sql) -> Sql:
    """Match the rows that do not match, those of which SQL does not know included."""
    if part is TRUE or part is FALSE:
        return FALSE if part is TRUE else TRUE
    return Sql(f"({part.text}) IS NOT TRUE", part.parameters)


def equals_one_of(value: str, operands: Sequence[Scalar]) -> Sql:
    """Compare with some values of one type."""
    if not operands:
        return FALSE
    if len(operands) == 1:
        return Sql(f"{value} = ?", (operands[0],))
    return Sql(f"{value} IN (SELECT value FROM json_each(?))", (orjson.dumps(operands).decode(),))


def call(function: Callable[..., bool | float], *arguments: str) -> Sql:
    """Call a function of Python; NULL if one of the arguments is NULL."""
    return Sql(f"call(?, {', '.join(arguments)})", (apsw.pyobject(function),))


def _typed(compared: Sql, place: Place, json_type: str) -> Sql:
    return Sql(f"({compared.text} AND {place.json_type} {json_type})", compared.parameters)


def _is_null(place: Place) -> Sql:
    return Sql(f"coalesce({place.json_type}, 'null') = 'null'")
