"""The HTTP server in front of the APIs, by raw sockets and real clients."""

import contextlib
import http.client
import socket
import threading
from contextlib import closing

import pytest

from onnx_inference.local.gateway.http_server import BODY_LIMIT_BYTES, ApiServer, HttpResponse

TOO_LARGE = HttpResponse(413, (), b"too large")


@pytest.fixture
def records():
    return []


@pytest.fixture
def server(records):
    def answer(request):
        headers = (("x-method", request.method), ("set-cookie", "a=1"), ("set-cookie", "b=2"))
        return HttpResponse(200, headers, request.body)

    server = ApiServer("Api", answer, too_large=TOO_LARGE, on_request=records.append)
    yield server
    server.stop()


def address(server):
    host, _, port = server.url.removeprefix("http://").partition(":")
    return host, int(port)


def raw(server, data):
    with closing(socket.create_connection(address(server), timeout=5)) as connection:
        connection.sendall(data)
        connection.shutdown(socket.SHUT_WR)
        return b"".join(iter(lambda: connection.recv(65536), b""))


def test_a_connection_serves_many_requests(server, records):
    connection = http.client.HTTPConnection(*address(server), timeout=5)
    ports = set()
    with closing(connection):
        for number in range(3):
            connection.request("POST", f"/a?n={number}", body=b"body")
            response = connection.getresponse()
            assert response.read() == b"body"
            assert response.headers.get_all("set-cookie") == ["a=1", "b=2"]
            ports.add(connection.sock.getsockname()[1])
    assert len(ports) == 1
    assert [(record.method, record.path, record.status) for record in records] == [
        ("POST", f"/a?n={number}", 200) for number in range(3)
    ]


def test_chunked_bodies_are_read(server):
    connection = http.client.HTTPConnection(*address(server), timeout=5)
    with closing(connection):
        connection.request(
            "POST", "/", body=iter([b"ab", b"cd"]), encode_chunked=True, headers={"Transfer-Encoding": "chunked"}
        )
        assert connection.getresponse().read() == b"abcd"
        connection.request("GET", "/")
        assert connection.getresponse().status == 200


def test_a_head_request_has_no_body(server):
    connection = http.client.HTTPConnection(*address(server), timeout=5)
    with closing(connection):
        connection.request("HEAD", "/", body=b"abc")
        response = connection.getresponse()
        assert (response.status, response.read()) == (200, b"")


@pytest.mark.parametrize(
    ("head", "status"),
    [
        (f"Content-Length: {BODY_LIMIT_BYTES + 1}\r\n\r\n", b"413"),
        (f"Transfer-Encoding: chunked\r\n\r\n{BODY_LIMIT_BYTES + 1:x}\r\n", b"413"),
        ("Content-Length: abc\r\n\r\n", b"400"),
        ("Content-Length: -1\r\n\r\n", b"400"),
        ("Content-Length: 10\r\n\r\nshort", b"400"),
        ("Transfer-Encoding: chunked\r\n\r\nzz\r\n", b"400"),
        ("Transfer-Encoding: chunked\r\n\r\n5\r\nabc", b"400"),
    ],
)
def test_bodies_that_do_not_hold(server, head, status):
    answer = raw(server, f"POST / HTTP/1.1\r\nHost: a\r\n{head}".encode())
    assert answer.split()[1] == status
    assert b"Connection: close" in answer


def test_a_client_that_sends_far_too_much_reads_the_answer(server, records):
    connection = http.client.HTTPConnection(*address(server), timeout=10)
    with closing(connection):
        connection.request("POST", "/", body=b"x" * (BODY_LIMIT_BYTES + 5_000_000))
        response = connection.getresponse()
        assert (response.status, response.read()) == (413, b"too large")
    assert [record.status for record in records] == [413]


def test_a_header_cannot_begin_another(server):
    server.answer = lambda _: HttpResponse(200, (("x-a", "1\r\nx-injected: 2"),))
    answer = raw(server, b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    assert b"\r\nx-injected" not in answer


def test_concurrent_clients(server):
    failures = []

    def talk(number):
        connection = http.client.HTTPConnection(*address(server), timeout=10)
        with closing(connection):
            for _ in range(20):
                connection.request("POST", "/", body=str(number).encode())
                if connection.getresponse().read() != str(number).encode():
                    failures.append(number)

    threads = [threading.Thread(target=talk, args=(number,)) for number in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []


def test_stopping_frees_the_port_and_closes_connections(server):
    waiting = socket.create_connection(address(server), timeout=5)
    server.stop()
    with closing(waiting), contextlib.suppress(ConnectionResetError):
        assert waiting.recv(1) == b""
    with pytest.raises(OSError, match=r"refused"):
        socket.create_connection(address(server), timeout=5)


def test_the_server_is_on_loopback(server):
    assert server.url.startswith("http://127.0.0.1:")
