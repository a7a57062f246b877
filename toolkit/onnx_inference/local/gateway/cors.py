"""Cross-origin requests, as an HTTP API or a function URL with a CORS configuration answers them."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from onnx_inference.local.gateway.http_server import HttpRequest, HttpResponse


@dataclass(frozen=True)
class Cors:
    """A CORS configuration."""

    allow_origins: tuple[str, ...] = ()
    allow_methods: tuple[str, ...] = ()
    allow_headers: tuple[str, ...] = ()
    expose_headers: tuple[str, ...] = ()
    allow_credentials: bool = False
    max_age: int | None = None

    @classmethod
    def from_api(cls, value: Mapping[str, Any] | None) -> "Cors | None":
        """Read `CorsConfiguration` of an HTTP API or `Cors` of a function URL; None when there is none."""
        if not value:
            return None
        return cls(
            allow_origins=tuple(value.get("AllowOrigins") or ()),
            allow_methods=tuple(value.get("AllowMethods") or ()),
            allow_headers=tuple(value.get("AllowHeaders") or ()),
            expose_headers=tuple(value.get("ExposeHeaders") or ()),
            allow_credentials=bool(value.get("AllowCredentials")),
            max_age=value.get("MaxAge"),
        )

    def preflight(self, request: HttpRequest) -> HttpResponse | None:
        """The answer to a preflight request; None for any other request."""
        if request.method != "OPTIONS" or request.header("Access-Control-Request-Method") is None:
            return None
        headers = self._origin_headers(request)
        if headers:
            if self.allow_methods:
                headers.append(("access-control-allow-methods", ",".join(self.allow_methods)))
            if self.allow_headers:
                headers.append(("access-control-allow-headers", ",".join(self.allow_headers)))
            if self.max_age is not None:
                headers.append(("access-control-max-age", str(self.max_age)))
        return HttpResponse(204, tuple(headers))

    def apply(self, request: HttpRequest, response: HttpResponse) -> HttpResponse:
        """The response with the CORS headers, which replace the function's own."""
        headers = self._origin_headers(request)
        if headers and self.expose_headers:
            headers.append(("access-control-expose-headers", ",".join(self.expose_headers)))
        return response.with_headers(headers)

    def _origin_headers(self, request: HttpRequest) -> list[tuple[str, str]]:
        origin = request.header("Origin")
        if origin is None:
            return []
        if "*" in self.allow_origins and not self.allow_credentials:
            return [("access-control-allow-origin", "*")]
        if "*" not in self.allow_origins and origin not in self.allow_origins:
            return []
        headers = [("access-control-allow-origin", origin), ("vary", "origin")]
        if self.allow_credentials:
            headers.append(("access-control-allow-credentials", "true"))
        return headers
