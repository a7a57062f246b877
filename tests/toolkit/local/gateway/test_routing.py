"""Which route of an HTTP API a request takes."""

from onnx_inference.local.gateway.routing import PathPattern, find_route


def test_the_most_specific_route_wins():
    keys = ["$default", "ANY /{proxy+}", "GET /pets/{id}", "GET /pets/dog", "ANY /pets/dog", "GET /pets/{proxy+}"]
    found = {
        path: find_route(keys, method, path).route_key
        for method, path in [
            ("GET", "/pets/dog"),
            ("GET", "/pets/1"),
            ("GET", "/pets/1/x"),
            ("PUT", "/pets/1"),
            ("GET", "/"),
        ]
    }
    assert found == {
        "/pets/dog": "GET /pets/dog",
        "/pets/1": "ANY /{proxy+}",
        "/pets/1/x": "GET /pets/{proxy+}",
        "/": "$default",
    }
    assert find_route(keys, "GET", "/pets/a%20b").path_parameters == {"id": "a b"}
    assert find_route(keys, "PUT", "/pets/dog").route_key == "ANY /pets/dog"
    assert PathPattern("/a/{b}").match("/a/") is None
