"""Pages of the web, from servers of this machine: what is fetched, and what is not."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from ragvec.errors import DocumentError, InvalidRequest
from ragvec.limits import FileLimits
from ragvec.pipeline.documents import Document, Failure
from ragvec.pipeline.load import expected_documents, load
from ragvec.pipeline.urls import Urls
from ragvec.pipeline.web import _is_public, fetch

HERE = FileLimits(isolate=False)
PAGE = "<html><head><title>Tides</title></head><body><p>Größe</p></body></html>"


class Handler(BaseHTTPRequestHandler):
    release = threading.Event()

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        if path == "/moved":
            self.answer(302, {"Location": "/page?x=1"})
        elif path == "/circle":
            self.answer(301, {"Location": "/circle"})
        elif path == "/file":
            self.answer(302, {"Location": "file:///etc/hostname"})
        elif path == "/gone":
            self.answer(404)
        elif path == "/latin":
            self.answer(200, {"Content-Type": "text/html; charset=iso-8859-1"}, PAGE.encode("latin-1"))
        elif path == "/notes.md":
            self.answer(200, {"Content-Type": "text/plain"}, b"# Notes\n\nwords")
        elif path == "/picture":
            self.answer(200, {"Content-Type": "image/png"}, b"\x89PNG")
        elif path == "/packed":
            self.answer(200, {"Content-Type": "text/html", "Content-Encoding": "gzip"}, b"x")
        elif path == "/short":
            self.answer(200, {"Content-Type": "text/html", "Content-Length": "100"}, b"x")
        elif path == "/records":
            self.answer(200, {"Content-Type": "application/json"}, b'[{"id": "r", "text": "one"}, {"text": "two"}]')
        elif path == "/large":
            self.answer(200, {"Content-Type": "text/plain"}, b"x" * 5_000)
        elif path == "/endless":
            self.send_response(200)
            self.send_header("Content-Type", "text/plain")
            self.end_headers()
            try:
                while True:
                    self.wfile.write(b"x" * 1_000)
            except OSError:
                return
        elif path == "/silent":
            self.release.wait(30)
        else:
            self.answer(200, {"Content-Type": "text/html; charset=utf-8"}, PAGE.encode())

    def answer(self, status: int, headers: dict[str, str] | None = None, body: bytes = b"") -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments: Any) -> None:
        pass


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    serving = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    serving.daemon_threads = True
    thread = threading.Thread(target=serving.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{serving.server_port}"
    Handler.release.set()
    serving.shutdown()
    thread.join()
    serving.server_close()


def one(url: str, *, limits: FileLimits = HERE, **options: Any) -> Document | Failure:
    (found,) = load(Urls(url, private=True, **options), limits=limits)
    return found


def reason(url: str, *, limits: FileLimits = HERE, **options: Any) -> str:
    found = one(url, limits=limits, **options)
    assert isinstance(found, Failure)
    assert found.source == url
    return found.reason


def test_a_page_is_a_document(server: str) -> None:
    found = one(f"{server}/tides/?x=1#part", limits=FileLimits())
    assert isinstance(found, Document)
    assert (found.id, found.title, found.text) == (f"{server}/tides/?x=1#part", "Tides", "Größe")
    assert (found.uri, found.file_type) == (f"{server}/tides/?x=1", "html")


@pytest.mark.parametrize(
    ("path", "text", "kind"),
    [("/latin", "Größe", "html"), ("/notes.md", "Notes\n\nwords", "md"), ("/moved", "Größe", "html")],
)
def test_type_and_encoding_are_those_of_the_answer(server: str, path: str, text: str, kind: str) -> None:
    found = one(server + path)
    assert isinstance(found, Document)
    assert (found.id, found.text, found.file_type) == (server + path, text, kind)
    assert not found.notes


def test_a_page_may_hold_many_documents(server: str) -> None:
    found = list(load(Urls([f"{server}/records", f"{server}/page"], private=True), limits=HERE))
    assert [item.id for item in found if isinstance(item, Document)] == ["r", f"{server}/records:2", f"{server}/page"]


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("/gone", "Expected the page, got the answer 404 Not Found"),
        ("/circle", "Expected at most 5 redirections, got more: Urls(redirects=…) allows more"),
        ("/file", "Expected a URL of http or https, got 'file:///etc/hostname'"),
        ("/picture", "Expected a page of a type that is read, got image/png"),
        ("/packed", "Expected a page as it is, got one that is compressed without being asked to"),
        ("/short", "Expected 100 bytes, as the answer promised, got 1"),
        ("/large", "Expected at most 1,000 bytes in a page, got 5,000: FileLimits(file_bytes=…) allows more"),
        ("/endless", "Expected at most 1,000 bytes in a page, got more"),
    ],
)
def test_what_cannot_be_had_says_why(server: str, path: str, said: str) -> None:
    assert reason(server + path, limits=FileLimits(file_bytes=1_000, isolate=False)).startswith(said)


def test_a_server_that_says_nothing_is_left(server: str) -> None:
    assert "Expected a page within 0.3 seconds" in reason(f"{server}/silent", seconds=0.3)


def test_private_addresses_are_not_connected_to(server: str) -> None:
    for url in (server, server.replace("127.0.0.1", "localhost"), "http://[::1]:9/", "http://169.254.169.254/latest"):
        (found,) = load(Urls(url), limits=HERE)
        assert isinstance(found, Failure)
        assert "Expected a host on the public internet" in found.reason
        assert "Urls(private=True)" in found.reason


@pytest.mark.parametrize(
    ("address", "public"),
    [
        ("127.0.0.1", False),
        ("10.1.2.3", False),
        ("169.254.169.254", False),
        ("0.0.0.0", False),
        ("224.0.0.1", False),
        ("::1", False),
        ("fe80::1%eth0", False),
        ("::ffff:127.0.0.1", False),
        ("2002:7f00:1::", False),
        ("93.184.216.34", True),
        ("2606:2800:220:1::1", True),
    ],
)
def test_which_addresses_are_public(address: str, public: bool) -> None:
    assert _is_public(address) is public


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("ftp://example.org/a", "Expected a URL of http or https"),
        ("notes.md", "Expected a URL of http or https"),
        ("http://user:secret@example.org/", "Expected a URL with a host and without a user's name and password"),
        ("http:///path", "Expected a URL with a host"),
        ("http://[::1", "Expected a URL, got 'http://[::1'"),
        ("http://example.org:99999/", "Expected a URL, got"),
        (f"http://{'a' * 70}.example/", "Expected a URL with the name of a host"),
        ("http://127.0.0.1:9/", "Expected a page that can be fetched"),
    ],
    ids=["ftp", "path", "credentials", "no host", "bracket", "port", "long", "closed"],
)
def test_urls_that_are_none_are_failures(url: str, said: str) -> None:
    assert reason(url).startswith(said)


def test_a_url_is_no_path() -> None:
    for use in (load, expected_documents):
        with pytest.raises(
            DocumentError, match="Expected a path, got a URL, which is fetched where that is asked for: Urls"
        ):
            use("https://example.org/")


@pytest.mark.parametrize("options", [{"seconds": 0}, {"seconds": float("inf")}, {"redirects": -1}])
def test_numbers_that_make_no_sense_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(InvalidRequest, match=r"Expected (seconds|redirects)"):
        Urls("http://example.org/", **options)
    with pytest.raises(InvalidRequest, match=r"Expected a URL as text, got int"):
        Urls([1])  # type: ignore[list-item]  # on purpose


def test_urls_are_counted_and_shown() -> None:
    assert expected_documents(Urls(["http://a/", "http://b/"])) == 2
    assert repr(Urls("http://a/")) == "Urls(['http://a/'])"
    assert repr(Urls([f"http://{name}/" for name in "abcd"])) == "Urls('http://a/', … 4)"


def test_a_redirection_from_https_stays_with_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ragvec.pipeline.web._answer", lambda *arguments: "http://example.org/")
    with pytest.raises(DocumentError, match="Expected a redirection that stays with https"):
        fetch("https://example.org/", Urls("https://example.org/"), HERE)
