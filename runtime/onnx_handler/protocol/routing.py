"""Finds the route of a request, whatever stage or base path precedes /v2."""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

from onnx_handler.errors import MethodNotAllowed, NotFound

# Characters. No source of events allows a longer path, and paths are cached with their routes.
LONGEST_PATH = 16 * 1024


class Match(NamedTuple):
    """A request's route; `action` has the fixed parts of the template after /v2, as in `models/infer`."""

    action: str
    model: str | None
    version: str | None
    job: str | None


class Router:
    """Finds routes.

    Args:
        routes: method and template of each, as in `("GET", "/v2/models/{model}")`.
    """

    def __init__(self, routes: tuple[tuple[str, str], ...]) -> None:
        self._routes = routes
        self._templates = tuple((method, template.split("/")[2:]) for method, template in routes)
        self._most_parts = 1 + max(len(template) for _, template in self._templates)
        # Clients ask for the same few paths again and again. Bounded, because a client may send any path.
        self.match = lru_cache(maxsize=64)(self._match)

    def _match(self, method: str, path: str) -> Match:
        """Finds the route of a path, which may begin with a stage or a base path.

        Raises:
            NotFound: no route has this path.
            MethodNotAllowed: a route has this path, with another method.
        """
        if len(path) > LONGEST_PATH:
            raise NotFound(f"the path has {len(path)} characters; at most {LONGEST_PATH} are allowed")
        parts = path.rstrip("/").rsplit("/", self._most_parts)  # the first one is all that precedes /v2
        allowed = []
        for start in [index + 1 for index, part in enumerate(parts) if part == "v2"]:
            rest = parts[start:]
            for route_method, template in self._templates:
                if len(rest) == len(template) and all(
                    want == got or (want[0] == "{" and got) for want, got in zip(template, rest, strict=True)
                ):
                    if route_method == method:
                        named = {
                            want[1:-1]: _unquoted(got)
                            for want, got in zip(template, rest, strict=True)
                            if want[0] == "{"
                        }
                        action = "/".join(want for want in template if want[0] != "{")
                        return Match(action, named.get("model"), named.get("version"), named.get("job"))
                    allowed.append(route_method)
        if allowed:
            raise MethodNotAllowed(f"{method} {path}: allowed is {', '.join(allowed)}", ", ".join(allowed))
        served = [f"{verb} {template}" for verb, template in self._routes]
        raise NotFound(f"no route {method} {path}; the routes are {served}")


def _unquoted(part: str) -> str:
    if "%" not in part:
        return part
    from urllib.parse import unquote

    return unquote(part)
