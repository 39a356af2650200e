"""Places on a sphere and in the plane: distances, containment, legal ranges.

Degrees outside, radians only for distances. Areas are planar in longitude and latitude, edges included, and
never wrap the date line; circles are spherical.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from math import asin, cos, radians, sin, sqrt

from parse_clone.core.json_types import Json
from parse_clone.core.query import GeoPoint
from parse_clone.core.values import is_number

EARTH_RADIUS_IN_KILOMETERS = 6371.0
EARTH_RADIUS_IN_MILES = 3959.0


def as_geo_point(value: Json) -> GeoPoint | None:
    """Read a GeoPoint's JSON; None for anything else."""
    if not isinstance(value, dict) or value.get("__type") != "GeoPoint":
        return None
    latitude, longitude = value.get("latitude"), value.get("longitude")
    if not is_number(latitude) or not is_number(longitude):
        return None
    return GeoPoint(float(latitude), float(longitude))


def as_ring(value: Json) -> tuple[GeoPoint, ...] | None:
    """Read a Polygon's JSON (pairs of latitude and longitude) as a closed ring; None for anything else."""
    if not isinstance(value, dict) or value.get("__type") != "Polygon":
        return None
    coordinates = value.get("coordinates")
    if not isinstance(coordinates, list) or not coordinates:
        return None
    ring: list[GeoPoint] = []
    for pair in coordinates:
        if not (isinstance(pair, list) and len(pair) == 2 and is_number(pair[0]) and is_number(pair[1])):
            return None
        ring.append(GeoPoint(float(pair[0]), float(pair[1])))
    return closed(ring)


def is_on_earth(latitude: float, longitude: float) -> bool:
    """Tell whether both coordinates are in their legal range."""
    return -90.0 <= latitude <= 90.0 and -180.0 <= longitude <= 180.0


def closed(ring: Sequence[GeoPoint]) -> tuple[GeoPoint, ...]:
    """Repeat the first point at the end, unless it stands there already."""
    return tuple(ring) if ring[0] == ring[-1] else (*ring, ring[0])


def distance(a: GeoPoint, b: GeoPoint) -> float:
    """Measure the great-circle distance of two points in radians (haversine)."""
    d_latitude = sin(radians(b.latitude - a.latitude) / 2)
    d_longitude = sin(radians(b.longitude - a.longitude) / 2)
    chord = d_latitude**2 + cos(radians(a.latitude)) * cos(radians(b.latitude)) * d_longitude**2
    return 2 * asin(sqrt(min(1.0, chord)))


def is_in_box(point: GeoPoint, southwest: GeoPoint, northeast: GeoPoint) -> bool:
    """Tell whether a rectangle holds the point."""
    return (
        southwest.latitude <= point.latitude <= northeast.latitude
        and southwest.longitude <= point.longitude <= northeast.longitude
    )


def is_in_polygon(point: GeoPoint, ring: Sequence[GeoPoint]) -> bool:
    """Tell whether a polygon, closed or open, holds the point (even-odd rule)."""
    inside = False
    for a, b in pairwise(closed(ring)):
        cross = _cross(a, b, point)
        if cross == 0 and is_in_box(point, *_corners(a, b)):
            return True  # on the edge
        if (a.latitude > point.latitude) != (b.latitude > point.latitude):
            inside ^= (cross > 0) == (b.latitude > a.latitude)
    return inside


def _cross(a: GeoPoint, b: GeoPoint, point: GeoPoint) -> float:
    """Positive where the point lies left of the line from a to b, in the plane of longitude and latitude."""
    return (b.longitude - a.longitude) * (point.latitude - a.latitude) - (b.latitude - a.latitude) * (
        point.longitude - a.longitude
    )


def _corners(a: GeoPoint, b: GeoPoint) -> tuple[GeoPoint, GeoPoint]:
    return (
        GeoPoint(min(a.latitude, b.latitude), min(a.longitude, b.longitude)),
        GeoPoint(max(a.latitude, b.latitude), max(a.longitude, b.longitude)),
    )
