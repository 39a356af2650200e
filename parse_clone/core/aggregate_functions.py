"""What an aggregation pipeline can do with values: the functions behind its operators, one table at the end.

Values are JSON; dates are `__type` Date. What a function cannot compute it refuses (102), as the document
database does; nothing here grows without bound.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from functools import partial
from typing import Final
from zoneinfo import ZoneInfo

from parse_clone.core.comparison import MISSING, Found, Missing, equality_key, sortable_key
from parse_clone.core.json_types import Json, JsonObject
from parse_clone.core.values import date_value, decode_date, is_number, moment_of
from parse_clone.errors import ErrorCode, ParseError


def refuse(reason: str) -> ParseError:
    """Build the refusal of a pipeline."""
    return ParseError(ErrorCode.INVALID_QUERY, reason)


def as_json(value: Found) -> Json:
    """Let what is missing be null."""
    return None if isinstance(value, Missing) else value


def is_true(value: Found) -> bool:
    """Tell as the database does: only false, 0, null and missing are false."""
    return not (isinstance(value, Missing) or value is None or value is False or value == 0)


def is_date(value: Found) -> bool:
    """Is this a date?"""
    return isinstance(value, dict) and value.get("__type") == "Date"


LARGEST_INTEGER: Final = 2**63
LONGEST_TEXT: Final = 16 * 2**20
LONGEST_ARRAY: Final = 1_000_000


def number(value: float) -> int | float:
    """Write an integral number without a fraction, a huge one with limited precision."""
    if isinstance(value, int):
        return value if abs(value) < LARGEST_INTEGER else _finite(float, value)
    return int(value) if value.is_integer() and abs(value) < 2**53 else _finite(float, value)


def _finite(convert: Callable[[float], float], value: float) -> float:
    try:
        result = convert(value)
    except (ArithmeticError, ValueError):
        raise refuse("The result is not a number.") from None
    if not math.isfinite(result):
        raise refuse("The result is not a number.")
    return result


# --- Numbers ---------------------------------------------------------------------------------------------


def is_null(*values: Found) -> bool:
    return any(value is None or isinstance(value, Missing) for value in values)


def _numeric(name: str, value: Found) -> int | float:
    if isinstance(value, Missing) or not is_number(value):
        raise refuse(f"{name} only supports numeric types, not {type_name(value)}")
    return value


def _add(*values: Found) -> Found:
    if is_null(*values):
        return None
    moments = [moment for value in values if (moment := moment_of(as_json(value)))]
    total = sum(_numeric("$add", value) for value in values if not is_date(value))
    if not moments:
        return number(total)
    if len(moments) > 1:
        raise refuse("only one date allowed in an $add expression")
    return _shift(moments[0], total)


def _shift(moment: datetime, milliseconds: float) -> JsonObject:
    try:
        return date_value(moment + timedelta(milliseconds=milliseconds))
    except OverflowError:
        raise refuse("date overflow") from None


def _subtract(left: Found, right: Found) -> Found:
    if is_null(left, right):
        return None
    start, end = moment_of(as_json(left)), moment_of(as_json(right))
    if start and end:
        return (start - end) // timedelta(milliseconds=1)
    if start:
        return _shift(start, -_numeric("$subtract", right))
    return number(_numeric("$subtract", left) - _numeric("$subtract", right))


def _multiply(*values: Found) -> Found:
    if is_null(*values):
        return None
    return number(math.prod(_numeric("$multiply", value) for value in values))


def _divide(left: Found, right: Found) -> Found:
    if is_null(left, right):
        return None
    divisor = _numeric("$divide", right)
    if divisor == 0:
        raise refuse("can't $divide by zero")
    return number(_numeric("$divide", left) / divisor)


def _mod(left: Found, right: Found) -> Found:
    if is_null(left, right):
        return None
    divisor = _numeric("$mod", right)
    if divisor == 0:
        raise refuse("can't $mod by zero")
    return number(math.fmod(_numeric("$mod", left), divisor))


def _power(base: Found, exponent: Found) -> Found:
    if is_null(base, exponent):
        return None
    power = _numeric("$pow", exponent)
    return _computed(lambda value: math.pow(value, power), _numeric("$pow", base))


def _log(value: Found, base: Found) -> Found:
    if is_null(value, base):
        return None
    root = _numeric("$log", base)
    return _computed(lambda value: math.log(value, root), _numeric("$log", value))


def _unary(name: str, compute: Callable[[float], float]) -> Callable[..., Found]:
    def apply(value: Found) -> Found:
        return None if is_null(value) else _computed(compute, _numeric(name, value))

    return apply


def _computed(compute: Callable[[float], float], value: float) -> int | float:
    return number(_finite(compute, value))


def _rounding(name: str, to_integer: Callable[[float], float]) -> Callable[..., Found]:
    def apply(value: Found, places: Found = 0) -> Found:
        if is_null(value, places):
            return None
        digits = int(_numeric(name, places))
        if not -20 <= digits <= 100:
            raise refuse(f"cannot apply {name} with precision value {digits}")
        scale = 10.0**digits
        return _computed(lambda given: to_integer(given * scale) / scale, _numeric(name, value))

    return apply


# --- Comparison and logic --------------------------------------------------------------------------------


def _compare(left: Found, right: Found) -> int:
    a, b = sortable_key(left, depth=1), sortable_key(right, depth=1)
    if a == b:
        return int(isinstance(right, Missing)) - int(isinstance(left, Missing))
    return -1 if a < b else 1


def _not(value: Found) -> Found:
    return not is_true(value)


def _all_true(*values: Found) -> Found:
    return all(map(is_true, values))


def _any_true(*values: Found) -> Found:
    return any(map(is_true, values))


def _if_null(*values: Found) -> Found:
    return next((value for value in values[:-1] if not is_null(value)), values[-1])


# --- Texts -----------------------------------------------------------------------------------------------


def text_of(name: str, value: Found) -> str:
    """Read a text; null and missing are empty, numbers and dates are written out."""
    match value:
        case None | Missing():
            return ""
        case str():
            return value
        case bool() | list():
            raise refuse(f"{name} requires a string argument, found: {type_name(value)}")
        case int() | float():
            return str(number(value))
        case {"__type": "Date", "iso": str(iso)}:
            return iso
        case _:
            raise refuse(f"{name} requires a string argument, found: {type_name(value)}")


def _concat(*values: Found) -> Found:
    if is_null(*values):
        return None
    for value in values:
        if not isinstance(value, str):
            raise refuse(f"$concat only supports strings, not {type_name(value)}")
    return bounded_text("".join(str(value) for value in values))


def bounded_text(text: str) -> str:
    """Refuse a text that nobody should need."""
    if len(text) > LONGEST_TEXT:
        raise refuse(f"A text may have at most {LONGEST_TEXT} characters.")
    return text


def _substring(value: Found, start: Found, length: Found) -> Found:
    text, first, size = text_of("$substr", value), _index(start), _index(length)
    if first < 0:
        return ""
    return text[first:] if size < 0 else text[first : first + size]


def _index(value: Found) -> int:
    return int(_numeric("$substr", value))


def _split(value: Found, separator: Found) -> Found:
    if is_null(value, separator):
        return None
    if not isinstance(separator, str) or not separator:
        raise refuse("$split requires a non-empty separator")
    return list(text_of("$split", value).split(separator))


def _index_of(value: Found, part: Found, start: Found = 0, end: Found = None) -> Found:
    if is_null(value):
        return None
    stop = None if is_null(end) else _index(end)
    return text_of("$indexOfCP", value).find(text_of("$indexOfCP", part), _index(start), stop)


def _on_text(name: str, change: Callable[[str], Found]) -> Callable[..., Found]:
    return lambda value: change(text_of(name, value))


# --- Arrays and objects ----------------------------------------------------------------------------------


def array_of(name: str, value: Found) -> list[Json]:
    if not isinstance(value, list):
        raise refuse(f"{name} requires an array, found: {type_name(value)}")
    return value


def _size(value: Found) -> Found:
    return len(array_of("The argument to $size must be an array. It", value))


def _element_at(values: Found, index: Found) -> Found:
    if is_null(values, index):
        return None
    array, place = array_of("$arrayElemAt", values), int(_numeric("$arrayElemAt", index))
    return array[place] if -len(array) <= place < len(array) else MISSING


def _in(value: Found, values: Found) -> Found:
    keys = {equality_key(element) for element in array_of("$in", values)}
    return equality_key(value) in keys


def _slice(values: Found, start: Found, count: Found = None) -> Found:
    if is_null(values, start):
        return None
    array, first = array_of("$slice", values), int(_numeric("$slice", start))
    if is_null(count):
        return array[:first] if first >= 0 else array[first:]
    first = max(first + len(array), 0) if first < 0 else first
    return array[first : first + int(_numeric("$slice", count))]


def _concat_arrays(*arrays: Found) -> Found:
    if is_null(*arrays):
        return None
    return bounded([value for array in arrays for value in array_of("$concatArrays", array)])


def _reversed(values: Found) -> Found:
    return None if is_null(values) else array_of("$reverseArray", values)[::-1]


def _range(start: Found, end: Found, step: Found = 1) -> Found:
    first, last, stride = (int(_numeric("$range", value)) for value in (start, end, step))
    if stride == 0:
        raise refuse("$range requires a non-zero step value")
    return bounded(range(first, last, stride))


def bounded(values: Sequence[Json]) -> list[Json]:
    """Refuse an array that nobody should need."""
    if len(values) > LONGEST_ARRAY:
        raise refuse(f"An array may have at most {LONGEST_ARRAY} elements.")
    return list(values)


def _first(values: Found) -> Found:
    return None if is_null(values) else _element_at(values, 0)


def _last(values: Found) -> Found:
    return None if is_null(values) else _element_at(values, -1)


def unique(values: Iterable[Json]) -> list[Json]:
    """Keep the first of equal values."""
    kept: dict[object, Json] = {}
    for value in values:
        kept.setdefault(equality_key(value), value)
    return list(kept.values())


def _set_union(*arrays: Found) -> Found:
    joined = _concat_arrays(*arrays)
    return unique(joined) if isinstance(joined, list) else None


def _set_intersection(*arrays: Found) -> Found:
    if is_null(*arrays):
        return None
    first, *others = (array_of("$setIntersection", array) for array in arrays)
    keys = [{equality_key(value) for value in other} for other in others]
    return unique([value for value in first if all(equality_key(value) in other for other in keys)])


def _set_difference(left: Found, right: Found) -> Found:
    if is_null(left, right):
        return None
    keys = {equality_key(value) for value in array_of("$setDifference", right)}
    return unique([v for v in array_of("$setDifference", left) if equality_key(v) not in keys])


def _merge_objects(*values: Found) -> Found:
    objects = values[0] if len(values) == 1 and isinstance(values[0], list) else values
    merged: JsonObject = {}
    for value in objects:
        if isinstance(value, dict):
            merged.update(value)
        elif not is_null(value):
            raise refuse(f"$mergeObjects requires object inputs, but input is of type {type_name(value)}")
    return merged


def _object_to_array(value: Found) -> Found:
    if is_null(value):
        return None
    if not isinstance(value, dict):
        raise refuse(f"$objectToArray requires a document input, found: {type_name(value)}")
    return [{"k": name, "v": member} for name, member in value.items()]


def _array_to_object(values: Found) -> Found:
    if is_null(values):
        return None
    result: JsonObject = {}
    for pair in array_of("$arrayToObject", values):
        match pair:
            case {"k": str(name), "v": value} | [str(name), value]:
                result[name] = value
            case _:
                raise refuse("$arrayToObject requires an array of key-value pairs")
    return result


# --- Types -----------------------------------------------------------------------------------------------


def type_name(value: Found) -> str:
    """Name a value's type as the document database does."""
    match value:
        case Missing():
            return "missing"
        case None:
            return "null"
        case bool():
            return "bool"
        case int():
            return "int" if -(2**31) <= value < 2**31 else "long"
        case float():
            return "double"
        case str():
            return "string"
        case list():
            return "array"
        case {"__type": "Date"}:
            return "date"
        case {"__type": "Bytes"}:
            return "binData"
        case _:
            return "object"


def _to_string(value: Found) -> Found:
    if isinstance(value, bool):
        return "true" if value else "false"
    return None if is_null(value) else text_of("$toString", value)


def _to_number(name: str, convert: Callable[[float], float]) -> Callable[..., Found]:
    def apply(value: Found) -> Found:
        if is_null(value):
            return None
        moment = moment_of(as_json(value))
        if moment:
            value = (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(milliseconds=1)
        if not isinstance(value, str | bool | int | float):
            raise refuse(f"Unsupported conversion from {type_name(value)} in {name}")
        try:
            return number(convert(float(value)))
        except (ValueError, OverflowError):
            raise refuse(f"Failed to parse number '{value}' in {name}") from None

    return apply


def _to_bool(value: Found) -> Found:
    return None if is_null(value) else is_true(value)


def to_date(value: Found) -> Found:
    if is_null(value) or is_date(value):
        return as_json(value)
    try:
        if isinstance(value, str):
            return date_value(decode_date(value))
    except ValueError:
        raise refuse(f"Error parsing date string '{value}'") from None
    return _shift(datetime(1970, 1, 1, tzinfo=UTC), _numeric("$toDate", value))


# --- Dates -----------------------------------------------------------------------------------------------


def _year(moment: datetime) -> int:
    return moment.year


def _week(moment: datetime) -> int:
    """The week of the year, Sunday first; days before the first Sunday are in week 0."""
    return (moment.timetuple().tm_yday + 6 - moment.isoweekday() % 7) // 7


DATE_PARTS: dict[str, Callable[[datetime], int]] = {
    "$year": _year,
    "$month": lambda moment: moment.month,
    "$dayOfMonth": lambda moment: moment.day,
    "$hour": lambda moment: moment.hour,
    "$minute": lambda moment: moment.minute,
    "$second": lambda moment: moment.second,
    "$millisecond": lambda moment: moment.microsecond // 1000,
    "$dayOfYear": lambda moment: moment.timetuple().tm_yday,
    "$dayOfWeek": lambda moment: moment.isoweekday() % 7 + 1,
    "$week": _week,
    "$isoWeek": lambda moment: moment.isocalendar().week,
    "$isoWeekYear": lambda moment: moment.isocalendar().year,
    "$isoDayOfWeek": lambda moment: moment.isoweekday(),
}

DATE_FORMATS: dict[str, Callable[[datetime], str]] = {
    "%Y": lambda moment: f"{moment.year:04}",
    "%m": lambda moment: f"{moment.month:02}",
    "%d": lambda moment: f"{moment.day:02}",
    "%H": lambda moment: f"{moment.hour:02}",
    "%M": lambda moment: f"{moment.minute:02}",
    "%S": lambda moment: f"{moment.second:02}",
    "%L": lambda moment: f"{moment.microsecond // 1000:03}",
    "%j": lambda moment: f"{moment.timetuple().tm_yday:03}",
    "%w": lambda moment: str(moment.isoweekday() % 7 + 1),
    "%u": lambda moment: str(moment.isoweekday()),
    "%U": lambda moment: f"{_week(moment):02}",
    "%V": lambda moment: f"{moment.isocalendar().week:02}",
    "%G": lambda moment: f"{moment.isocalendar().year:04}",
    "%z": lambda moment: f"{moment:%z}",
    "%Z": lambda moment: str(int((moment.utcoffset() or timedelta()) / timedelta(minutes=1))),
    "%%": lambda moment: "%",
}
_OFFSET = re.compile(r"([+-])(\d{2}):?(\d{2})?")


def _zone(name: Found) -> tzinfo:
    if is_null(name) or name in ("UTC", "GMT", "Z"):
        return UTC
    text = text_of("timezone", name)
    if found := _OFFSET.fullmatch(text):
        sign = -1 if found[1] == "-" else 1
        return timezone(sign * timedelta(hours=int(found[2]), minutes=int(found[3] or 0)))
    try:
        return ZoneInfo(text)
    except (ValueError, OSError, LookupError):
        raise refuse(f'unrecognized time zone identifier: "{text}"') from None


def local_moment(name: str, value: Found, zone: Found = None) -> datetime | None:
    if is_null(value):
        return None
    moment = moment_of(as_json(value))
    if moment is None:
        raise refuse(f"can't convert from BSON type {type_name(value)} to Date in {name}")
    return moment.astimezone(_zone(zone))


# --- Accumulators, over any list of values ---------------------------------------------------------------


def _numbers(values: Sequence[Found]) -> list[int | float]:
    return [value for value in values if not isinstance(value, Missing) and is_number(value)]


def total(values: Sequence[Found]) -> Found:
    """Add the numbers among the values."""
    return number(sum(_numbers(values)))


def average(values: Sequence[Found]) -> Found:
    """Average the numbers among the values; null if there is none."""
    found = _numbers(values)
    return number(sum(found) / len(found)) if found else None


def deviation(values: Sequence[Found], *, sample: bool) -> Found:
    """Give the standard deviation of the numbers among the values."""
    found = _numbers(values)
    degrees = len(found) - sample
    if degrees < 1:
        return None
    mean = sum(found) / len(found)
    return number(math.sqrt(sum((value - mean) ** 2 for value in found) / degrees))


def least(values: Sequence[Found]) -> Found:
    """Find what sorts first, null aside."""
    return min((value for value in values if not is_null(value)), key=sortable_key, default=None)


def greatest(values: Sequence[Found]) -> Found:
    """Find what sorts last, null aside."""
    return max((value for value in values if not is_null(value)), key=sortable_key, default=None)


FOLDS: Mapping[str, Callable[[Sequence[Found]], Found]] = {
    "$sum": total,
    "$avg": average,
    "$min": least,
    "$max": greatest,
    "$stdDevPop": partial(deviation, sample=False),
    "$stdDevSamp": partial(deviation, sample=True),
}
"""What both accumulators of groups and expressions can do with a list of values."""


def _fold(name: str) -> Callable[..., Found]:
    fold = FOLDS[name]

    def apply(*values: Found) -> Found:
        only = values[0] if len(values) == 1 else None
        return fold(only if isinstance(only, list) else values)

    return apply


# --- The tables ------------------------------------------------------------------------------------------

ANY_NUMBER: Final = 1_000

FUNCTIONS: Mapping[str, tuple[Callable[..., Found], int, int]] = {
    "$add": (_add, 1, ANY_NUMBER),
    "$subtract": (_subtract, 2, 2),
    "$multiply": (_multiply, 1, ANY_NUMBER),
    "$divide": (_divide, 2, 2),
    "$mod": (_mod, 2, 2),
    "$pow": (_power, 2, 2),
    "$log": (_log, 2, 2),
    "$abs": (_unary("$abs", abs), 1, 1),
    "$ceil": (_unary("$ceil", math.ceil), 1, 1),
    "$floor": (_unary("$floor", math.floor), 1, 1),
    "$sqrt": (_unary("$sqrt", math.sqrt), 1, 1),
    "$exp": (_unary("$exp", math.exp), 1, 1),
    "$ln": (_unary("$ln", math.log), 1, 1),
    "$log10": (_unary("$log10", math.log10), 1, 1),
    "$round": (_rounding("$round", round), 1, 2),
    "$trunc": (_rounding("$trunc", math.trunc), 1, 2),
    "$cmp": (_compare, 2, 2),
    "$eq": (lambda a, b: _compare(a, b) == 0, 2, 2),
    "$ne": (lambda a, b: _compare(a, b) != 0, 2, 2),
    "$gt": (lambda a, b: _compare(a, b) > 0, 2, 2),
    "$gte": (lambda a, b: _compare(a, b) >= 0, 2, 2),
    "$lt": (lambda a, b: _compare(a, b) < 0, 2, 2),
    "$lte": (lambda a, b: _compare(a, b) <= 0, 2, 2),
    "$and": (_all_true, 0, ANY_NUMBER),
    "$or": (_any_true, 0, ANY_NUMBER),
    "$not": (_not, 1, 1),
    "$ifNull": (_if_null, 2, ANY_NUMBER),
    "$concat": (_concat, 0, ANY_NUMBER),
    "$toLower": (_on_text("$toLower", str.lower), 1, 1),
    "$toUpper": (_on_text("$toUpper", str.upper), 1, 1),
    "$strLenCP": (_on_text("$strLenCP", len), 1, 1),
    "$strLenBytes": (_on_text("$strLenBytes", lambda text: len(text.encode("utf-8", "replace"))), 1, 1),
    "$substr": (_substring, 3, 3),
    "$substrCP": (_substring, 3, 3),
    "$substrBytes": (_substring, 3, 3),
    "$split": (_split, 2, 2),
    "$indexOfCP": (_index_of, 2, 4),
    "$strcasecmp": (
        lambda a, b: _compare(text_of("$strcasecmp", a).upper(), text_of("$strcasecmp", b).upper()),
        2,
        2,
    ),
    "$size": (_size, 1, 1),
    "$arrayElemAt": (_element_at, 2, 2),
    "$in": (_in, 2, 2),
    "$slice": (_slice, 2, 3),
    "$concatArrays": (_concat_arrays, 0, ANY_NUMBER),
    "$reverseArray": (_reversed, 1, 1),
    "$range": (_range, 2, 3),
    "$first": (_first, 1, 1),
    "$last": (_last, 1, 1),
    "$isArray": (lambda value: isinstance(value, list), 1, 1),
    "$setUnion": (_set_union, 0, ANY_NUMBER),
    "$setIntersection": (_set_intersection, 1, ANY_NUMBER),
    "$setDifference": (_set_difference, 2, 2),
    "$mergeObjects": (_merge_objects, 0, ANY_NUMBER),
    "$objectToArray": (_object_to_array, 1, 1),
    "$arrayToObject": (_array_to_object, 1, 1),
    "$type": (type_name, 1, 1),
    "$isNumber": (lambda value: not isinstance(value, Missing) and is_number(value), 1, 1),
    "$toString": (_to_string, 1, 1),
    "$toInt": (_to_number("$toInt", math.trunc), 1, 1),
    "$toLong": (_to_number("$toLong", math.trunc), 1, 1),
    "$toDouble": (_to_number("$toDouble", float), 1, 1),
    "$toDecimal": (_to_number("$toDecimal", float), 1, 1),
    "$toBool": (_to_bool, 1, 1),
    "$toDate": (to_date, 1, 1),
    **{name: (_fold(name), 0, ANY_NUMBER) for name in FOLDS},
}
"""Operators that are functions of their arguments: the function, the least and the most arguments."""
