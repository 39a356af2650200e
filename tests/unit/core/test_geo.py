from __future__ import annotations

from math import pi

import pytest
from hypothesis import given
from hypothesis import strategies as st

from parse_clone.core import geo
from parse_clone.core.json_types import Json
from parse_clone.core.query import GeoPoint

SQUARE = [GeoPoint(0, 0), GeoPoint(0, 2), GeoPoint(2, 2), GeoPoint(2, 0)]
points = st.builds(GeoPoint, st.floats(-90, 90), st.floats(-180, 180))


def test_distance_between_vienna_and_sydney() -> None:
    kilometers = (
        geo.distance(GeoPoint(48.2082, 16.3738), GeoPoint(-33.8688, 151.2093))
        * geo.EARTH_RADIUS_IN_KILOMETERS
    )
    assert kilometers == pytest.approx(15_970, abs=20)


def test_distance_across_the_date_line_is_short() -> None:
    assert geo.distance(GeoPoint(0, 179), GeoPoint(0, -179)) == pytest.approx(2 * pi / 180)


@given(points, points)
def test_distance_is_symmetric_and_at_most_half_the_earth(a: GeoPoint, b: GeoPoint) -> None:
    assert geo.distance(a, b) == pytest.approx(geo.distance(b, a))
    assert 0 <= geo.distance(a, b) <= pi
    assert geo.distance(a, a) == 0


@pytest.mark.parametrize(
    ("point", "inside"),
    [
        ((1, 1), True),
        ((0, 0), True),
        ((0, 1), True),
        ((2, 1), True),
        ((3, 1), False),
        ((1, -1), False),
        ((2.1, 2), False),
    ],
)
def test_polygon_holds_its_inside_and_its_edges(point: tuple[float, float], inside: bool) -> None:
    assert geo.is_in_polygon(GeoPoint(*point), SQUARE) is inside
    assert geo.is_in_polygon(GeoPoint(*point), SQUARE[::-1]) is inside
    assert geo.is_in_polygon(GeoPoint(*point), geo.closed(SQUARE)) is inside


def test_polygon_may_be_concave() -> None:
    horseshoe = [GeoPoint(*p) for p in [(0, 0), (4, 0), (4, 1), (1, 1), (1, 3), (4, 3), (4, 4), (0, 4)]]
    assert geo.is_in_polygon(GeoPoint(0.5, 2), horseshoe)
    assert not geo.is_in_polygon(GeoPoint(3, 2), horseshoe)


def test_box_includes_its_edges_and_an_inverted_one_is_empty() -> None:
    assert geo.is_in_box(GeoPoint(0, 2), GeoPoint(0, 0), GeoPoint(2, 2))
    assert not geo.is_in_box(GeoPoint(1, 1), GeoPoint(2, 2), GeoPoint(0, 0))


@pytest.mark.parametrize(
    ("latitude", "longitude", "legal"),
    [(90, 180, True), (-90, -180, True), (90.1, 0, False), (0, 180.1, False)],
)
def test_ranges(latitude: float, longitude: float, legal: bool) -> None:
    assert geo.is_on_earth(latitude, longitude) is legal


@pytest.mark.parametrize(
    "value",
    [
        None,
        "x",
        {"__type": "Date"},
        {"__type": "GeoPoint", "latitude": "1", "longitude": 1},
        {"__type": "GeoPoint", "latitude": 1, "longitude": True},
    ],
)
def test_odd_values_are_no_points(value: Json) -> None:
    assert geo.as_geo_point(value) is None


@pytest.mark.parametrize(
    "value",
    [
        None,
        {"__type": "GeoPoint"},
        {"__type": "Polygon"},
        {"__type": "Polygon", "coordinates": []},
        {"__type": "Polygon", "coordinates": [1]},
        {"__type": "Polygon", "coordinates": [[1]]},
        {"__type": "Polygon", "coordinates": [[1, "x"]]},
    ],
)
def test_odd_values_are_no_polygons(value: Json) -> None:
    assert geo.as_ring(value) is None


def test_values_are_read_as_latitude_and_longitude() -> None:
    assert geo.as_geo_point({"__type": "GeoPoint", "latitude": 1, "longitude": 2}) == GeoPoint(1, 2)
    ring = geo.as_ring({"__type": "Polygon", "coordinates": [[0, 1], [2, 3], [4, 5]]})
    assert ring == (GeoPoint(0, 1), GeoPoint(2, 3), GeoPoint(4, 5), GeoPoint(0, 1))
