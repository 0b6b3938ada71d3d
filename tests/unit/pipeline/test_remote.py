"""Embedding services: batches, pace, and another try."""

from __future__ import annotations

import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import msgspec
import numpy as np
import pytest

from ragvec.errors import InvalidRequest, ModelError
from ragvec.pipeline.embedders import HashingEmbedder
from ragvec.pipeline.embedders.remote import Pace, RemoteEmbedder, is_transient
from ragvec.protocols import Embedder

HASHED = HashingEmbedder(16)


class Clock:
    """Time that passes only by sleeping."""

    def __init__(self) -> None:
        self.now = 0.0
        self.pauses: list[float] = []

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.pauses.append(seconds)
        self.now += seconds


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def service() -> Iterator[tuple[str, list[int], list[tuple[int, dict[str, str]]]]]:
    """A real HTTP service: its address, the sizes of the requests that it answered, and the refusals it has to give."""
    sizes: list[int] = []
    refusals: list[tuple[int, dict[str, str]]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            texts = msgspec.json.decode(self.rfile.read(int(self.headers["content-length"])))
            status, headers = refusals.pop(0) if refusals else (200, {})
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.end_headers()
            if status == 200:
                sizes.append(len(texts))
                self.wfile.write(msgspec.json.encode(HASHED.embed_documents(texts).tolist()))

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/", sizes, refusals
    server.shutdown()
    thread.join()
    server.server_close()


def asking(url: str) -> Any:
    def ask(texts: list[str]) -> Any:
        request = urllib.request.Request(url, data=msgspec.json.encode(texts), method="POST")
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                return msgspec.json.decode(answer.read())
        except urllib.error.HTTPError as error:
            error.close()
            raise

    return ask


def test_a_service_is_asked_in_batches_by_length_and_tokens(service: Any, clock: Clock) -> None:
    url, sizes, _ = service
    texts = [f"word {number} " * (1 + number % 7) for number in range(40)]
    embedder = RemoteEmbedder(
        asking(url), name="service-1", dimension=16, batch_size=12, batch_tokens=60, sleep=clock.sleep
    )
    assert isinstance(embedder, Embedder)
    assert np.allclose(embedder.embed_documents(texts), HASHED.embed_documents(texts), atol=1e-6)
    assert np.allclose(embedder.embed_query("a word"), HASHED.embed_query("a word"), atol=1e-6)
    assert max(sizes) == 12
    assert sizes[0] == 60 // 14
    assert sum(sizes) == 41
    assert embedder.embed_documents([]).shape == (0, 16)


def test_trouble_that_passes_is_waited_for(service: Any, clock: Clock) -> None:
    url, sizes, refusals = service
    refusals += [(429, {"Retry-After": "17"}), (503, {}), (500, {})]
    embedder = RemoteEmbedder(asking(url), name="service-1", dimension=16, sleep=clock.sleep)
    assert embedder.embed_documents(["text"]).shape == (1, 16)
    assert clock.pauses[0] == 17
    assert 1.0 <= clock.pauses[1] <= 2.0
    assert 2.0 <= clock.pauses[2] <= 4.0
    assert sizes == [1]


def test_other_trouble_is_the_callers_at_once(service: Any, clock: Clock) -> None:
    url, _, refusals = service
    embedder = RemoteEmbedder(asking(url), name="service-1", dimension=16, sleep=clock.sleep)
    refusals += [(401, {})]
    with pytest.raises(urllib.error.HTTPError, match="401"):
        embedder.embed_documents(["text"])
    assert clock.pauses == []
    refusals += [(503, {})] * 3
    few = RemoteEmbedder(asking(url), name="service-1", dimension=16, retries=2, sleep=clock.sleep)
    with pytest.raises(urllib.error.HTTPError, match="503"):
        few.embed_documents(["text"])
    assert len(clock.pauses) == 2


def test_wrong_shapes_are_not_tried_again(clock: Clock) -> None:
    embedder = RemoteEmbedder(lambda texts: [[1.0]], name="one", dimension=1, sleep=clock.sleep)
    with pytest.raises(ModelError, match=r"Expected vectors of shape \(2, 1\) from 'one', got \(1, 1\)"):
        embedder.embed_documents(["a", "b"])
    assert clock.pauses == []


def test_no_minute_has_more_than_it_may(clock: Clock) -> None:
    """Whatever window of 60 seconds one looks at."""
    pace = Pace(requests_per_minute=5, tokens_per_minute=1000, clock=clock, sleep=clock.sleep)
    sent: list[tuple[float, int]] = []
    for number in range(60):
        tokens = 50 + 97 * number % 400
        pace.wait(tokens)
        sent.append((clock.now, tokens))
        clock.now += number % 3
    for start, _ in sent:
        window = [tokens for at, tokens in sent if start <= at < start + 60]
        assert len(window) <= 5
        assert sum(window) <= 1000
    assert clock.pauses
    before = clock.now
    pace.wait(5000)
    assert clock.now > before


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (ConnectionResetError(), True),
        (TimeoutError(), True),
        (ValueError("bad"), False),
        (type("RateLimitError", (Exception,), {"status_code": 429})(), True),
        (type("BadRequestError", (Exception,), {"status_code": 400})(), False),
        (type("HTTPStatusError", (Exception,), {"response": type("R", (), {"status_code": 502})()})(), True),
        (type("APIConnectionError", (Exception,), {})(), True),
        (type("ReadTimeout", (Exception,), {})(), True),
    ],
    ids=["reset", "timeout", "value", "429", "400", "502", "connection", "read-timeout"],
)
def test_what_may_pass(error: Exception, expected: bool) -> None:
    assert is_transient(error) is expected


def test_limits_below_one_are_refused() -> None:
    with pytest.raises(InvalidRequest, match="Expected at least 1, got 0"):
        Pace(requests_per_minute=0)
    with pytest.raises(InvalidRequest, match="Expected at least 1, got 0"):
        RemoteEmbedder(HASHED.embed_documents, name="x", batch_size=0)
