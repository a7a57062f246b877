"""Matching a path against the routes of an API."""

from collections.abc import Iterable
from dataclasses import dataclass
from urllib.parse import unquote

ANY = "ANY"
DEFAULT = "$default"


@dataclass(frozen=True)
class PathPattern:
    """A path with variables: `/pets/{id}`, or `/{proxy+}` for the rest of a path."""

    text: str

    def match(self, path: str) -> dict[str, str] | None:
        """The decoded variables when the path matches; None when it does not."""
        pattern, given = _segments(self.text), _segments(path)
        variables: dict[str, str] = {}
        for position, segment in enumerate(pattern):
            if segment.startswith("{") and segment.endswith("+}"):
                rest = "/".join(given[position:])
                if not rest:
                    return None
                variables[segment[1:-2]] = unquote(rest)
                return variables
            if position >= len(given):
                return None
            if segment.startswith("{") and segment.endswith("}"):
                if not given[position]:
                    return None
                variables[segment[1:-1]] = unquote(given[position])
            elif segment != unquote(given[position]):
                return None
        return variables if len(pattern) == len(given) else None

    @property
    def specificity(self) -> tuple[int, ...]:
        """Orders patterns that match the same path: fixed segments first, then variables, then greedy variables."""
        ranks = []
        for segment in _segments(self.text):
            if not segment.startswith("{"):
                ranks.append(0)
            else:
                ranks.append(2 if segment.endswith("+}") else 1)
        return tuple(ranks)


@dataclass(frozen=True)
class RouteMatch:
    """The key of the route that matches a request, and the variables of the path."""

    route_key: str
    path_parameters: dict[str, str]


def find_route(route_keys: Iterable[str], method: str, path: str) -> RouteMatch | None:
    """The route of an HTTP API for one request: the most specific one, else `$default`.

    Args:
        route_keys: Keys such as `GET /pets/{id}`, `ANY /{proxy+}` and `$default`.
        method: The request's method.
        path: The path without the stage, percent-encoded.
    """
    found: list[tuple[tuple[int, ...], int, RouteMatch]] = []
    has_default = False
    for key in route_keys:
        if key == DEFAULT:
            has_default = True
            continue
        route_method, _, text = key.partition(" ")
        if route_method not in (method, ANY):
            continue
        pattern = PathPattern(text)
        variables = pattern.match(path)
        if variables is not None:
            found.append((pattern.specificity, int(route_method == ANY), RouteMatch(key, variables)))
    if found:
        return min(found, key=lambda entry: entry[:2])[2]
    return RouteMatch(DEFAULT, {}) if has_default else None


def _segments(path: str) -> list[str]:
    return path.removeprefix("/").split("/")
