"""Which route a request's path is, whatever stands ahead of /v2."""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

from onnx_handler.errors import MethodNotAllowed, NotFound

# No source of events carries a longer one, and each is remembered with its answer.
LONGEST_PATH = 16 * 1024


class Match(NamedTuple):
    """A request's route: what it asks for (the template's fixed parts after /v2), of which model, and of which job."""

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
        # A client asks for the same few paths again and again; bounded, because paths are its choice.
        self.match = lru_cache(maxsize=64)(self._match)

    def _match(self, method: str, path: str) -> Match:
        """Finds the route, after any stage or base path that the API puts ahead of /v2.

        Raises:
            NotFound: no route has this path.
            MethodNotAllowed: one has, under another method.
        """
        if len(path) > LONGEST_PATH:
            raise NotFound(f"the path has {len(path)} characters; at most {LONGEST_PATH} are allowed")
        parts = path.rstrip("/").rsplit("/", self._most_parts)  # what stands ahead of them stays in one piece
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
