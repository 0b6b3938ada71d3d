"""Embedding services over a network: batches within limits, a pace, and another try when trouble passes."""

from __future__ import annotations

import random
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ragvec.errors import InvalidRequest, ModelError
from ragvec.pipeline.embedders.wrappers import CallableEmbedder
from ragvec.pipeline.tokenizers import RegexTokenizer
from ragvec.protocols import Tokenizer
from ragvec.types import FloatMatrix

__all__ = ["TRANSIENT_STATUS", "Pace", "RemoteEmbedder", "is_transient"]

TRANSIENT_STATUS = frozenset({408, 425, 429, 500, 502, 503, 504, 529})
"""HTTP statuses that may be others a moment later."""

_MINUTE = 60.0
_LONGEST_WAIT = 60.0


class Pace:
    """At most so many requests and tokens in any minute; shared by all threads that are given it.

    `clock` gives seconds, `sleep` waits for some.
    """

    def __init__(
        self,
        *,
        requests_per_minute: int | None = None,
        tokens_per_minute: int | None = None,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        for name, value in (("requests_per_minute", requests_per_minute), ("tokens_per_minute", tokens_per_minute)):
            if value is not None and value < 1:
                raise InvalidRequest(f"Expected at least 1, got {value}", path=name)
        self._limits = requests_per_minute, tokens_per_minute
        self._clock, self._sleep = clock, sleep
        self._lock = threading.Lock()
        self._past: deque[tuple[float, int]] = deque()

    def wait(self, tokens: int) -> None:
        """Return when a request of so many tokens may go, and count it. One of more tokens than a minute allows goes
        alone."""
        while True:
            with self._lock:
                now = self._clock()
                while self._past and self._past[0][0] <= now - _MINUTE:
                    self._past.popleft()
                requests, most = self._limits
                used = sum(count for _, count in self._past)
                free = (requests is None or len(self._past) < requests) and (
                    most is None or used + tokens <= most or not self._past
                )
                if free:
                    self._past.append((now, tokens))
                    return
                pause = self._past[0][0] + _MINUTE - now
            self._sleep(max(pause, 0.001))


class RemoteEmbedder(CallableEmbedder):
    """A function that asks a service: from a list of texts to as many vectors.

    A request holds at most `batch_size` texts and, together, `batch_tokens` tokens (None: any number), texts of like
    length together; tokens are counted by `tokenizer`, or roughly by words and marks. `pace` holds requests back. An
    error that may pass (`transient`, by default lost connections, time-outs and HTTP statuses such as 429 and 503) is
    tried again, up to `retries` times, after a pause that doubles from `backoff` seconds, is drawn between half and
    all of it so that clients do not come back together, and is at least what the service asks for (Retry-After). Any
    other error, and the last one, is the caller's.

    `query`, `name`, `dimension` and the other options are those of `CallableEmbedder`.

    Raises:
        InvalidRequest: a limit is less than 1. ModelError: vectors of another shape came back.
    """

    def __init__(
        self,
        function: Callable[[list[str]], Any],
        *,
        name: str,
        dimension: int | None = None,
        query: Callable[[list[str]], Any] | None = None,
        normalize: bool = True,
        batch_size: int = 64,
        batch_tokens: int | None = None,
        pace: Pace | None = None,
        retries: int = 6,
        backoff: float = 1.0,
        transient: Callable[[BaseException], bool] | None = None,
        tokenizer: Tokenizer | None = None,
        max_tokens: int | None = None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        for label, value, least in (
            ("batch_size", batch_size, 1),
            ("batch_tokens", batch_tokens, 1),
            ("retries", retries, 0),
        ):
            if value is not None and value < least:
                raise InvalidRequest(f"Expected at least {least}, got {value}", path=label)
        self._batch_tokens, self._pace = batch_tokens, pace or Pace()
        self._retries, self._backoff = retries, backoff
        self._transient = transient or is_transient
        self._sleep = sleep
        self._count: Tokenizer = tokenizer or RegexTokenizer()
        super().__init__(
            function,
            name=name,
            dimension=dimension,
            query=query,
            normalize=normalize,
            batch_size=batch_size,
            tokenizer=tokenizer,
            max_tokens=max_tokens,
        )

    def embed_documents(self, texts: Sequence[str]) -> FloatMatrix:
        """float32 (len(texts), dimension), in the order of `texts`. Raises ModelError for any other shape, and
        whatever the function raises in the end."""
        vectors: FloatMatrix = np.empty((len(texts), self.dimension), dtype=np.float32)
        lengths = [len(self._count.spans(text)) for text in texts]
        batch: list[int] = []
        tokens = 0
        for row in sorted(range(len(texts)), key=lambda row: -lengths[row]):
            full = self._batch_tokens is not None and tokens + lengths[row] > self._batch_tokens
            if batch and (full or len(batch) >= self.batch_size):
                vectors[batch] = self._embed(self._documents, [texts[at] for at in batch])
                batch, tokens = [], 0
            batch.append(row)
            tokens += lengths[row]
        if batch:
            vectors[batch] = self._embed(self._documents, [texts[at] for at in batch])
        return vectors

    def _embed(self, function: Callable[[list[str]], Any], texts: list[str]) -> FloatMatrix:
        tokens = sum(len(self._count.spans(text)) for text in texts)
        for turn in range(self._retries + 1):
            self._pace.wait(tokens)
            try:
                return super()._embed(function, texts)
            except ModelError:
                raise
            except Exception as error:
                if turn == self._retries or not self._transient(error):
                    raise
                pause = min(self._backoff * 2**turn, _LONGEST_WAIT) * random.uniform(0.5, 1.0)
                asked = _retry_after(error)
                self._sleep(pause if asked is None else max(pause, min(asked, _LONGEST_WAIT)))
        raise AssertionError("unreachable: the last turn returns or raises")


def is_transient(error: BaseException) -> bool:
    """Whether an error may pass: a lost connection, a time-out, or an HTTP status in `TRANSIENT_STATUS`.

    The status is looked for where the usual clients have it (`status_code`, `status`, `code`, on the error or on its
    `response`); a time-out or lost connection is known by its class or one of its bases.
    """
    status = _status(error)
    if status is not None:
        return status in TRANSIENT_STATUS
    if isinstance(error, (ConnectionError, TimeoutError)):
        return True
    names = {base.__name__ for base in type(error).__mro__}
    return bool(
        names & {"APIConnectionError", "APITimeoutError", "ConnectError", "ReadTimeout", "TransportError"}
    ) or any(name.endswith("Timeout") for name in names)


def _status(error: BaseException) -> int | None:
    for holder in (error, getattr(error, "response", None)):
        for name in ("status_code", "status", "code"):
            value = getattr(holder, name, None)
            if isinstance(value, int) and not isinstance(value, bool):
                return value
    return None


def _retry_after(error: BaseException) -> float | None:
    """The seconds that the service asks to wait, where it does."""
    for holder in (getattr(error, "response", None), error):
        headers: Any = getattr(holder, "headers", None)
        value = (headers.get("retry-after") or headers.get("Retry-After")) if hasattr(headers, "get") else None
        # It may be a date too, which clocks that differ make useless.
        if value is not None and str(value).strip().isdecimal():
            return float(value)
    return None
