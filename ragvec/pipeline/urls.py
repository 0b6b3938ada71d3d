"""The opt-in to pages of the web as a source of documents."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from ragvec.errors import InvalidRequest

__all__ = ["Urls"]


class Urls:
    """Pages to fetch, a document each, known by its URL: `pipeline.run(Urls(["https://example.org/terms"]))`.

    Only what is listed is fetched, once a run, one after the other; links are not followed, and `robots.txt` is not
    asked for. `seconds` are for one page with its redirections, of which there may be `redirects`. Only http and https
    are spoken, and nothing but addresses of the public internet is connected to, also after a redirection, unless
    `private` allows others. A page is no larger than `FileLimits(file_bytes=…)`. Proxies of the environment are not
    used, and no cookies or credentials are sent.

    Raises:
        InvalidRequest: a number makes no sense, or a URL is no text.
    """

    def __init__(
        self, urls: str | Iterable[str], *, private: bool = False, seconds: float = 30.0, redirects: int = 5
    ) -> None:
        self.urls = (urls,) if isinstance(urls, str) else tuple(urls)
        for number, url in enumerate(self.urls):
            if not isinstance(url, str):
                raise InvalidRequest(f"Expected a URL as text, got {type(url).__name__}", path=f"urls[{number}]")
        if not 0 < seconds < float("inf"):
            raise InvalidRequest(f"Expected seconds above 0, got {seconds}", path="seconds")
        if redirects < 0:
            raise InvalidRequest(f"Expected redirects from 0, got {redirects}", path="redirects")
        self.private, self.seconds, self.redirects = private, float(seconds), redirects

    def __len__(self) -> int:
        return len(self.urls)

    def __iter__(self) -> Iterator[str]:
        return iter(self.urls)

    def __repr__(self) -> str:
        return f"Urls({list(self.urls)!r})" if len(self.urls) < 4 else f"Urls({self.urls[0]!r}, … {len(self.urls)})"
