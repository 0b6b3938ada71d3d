"""What the tests over a socket share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.wire.serving import Serving, serving


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    """A server with every dialect and one user, the owner, over an empty store; one for each file of tests."""
    with serving(tmp_path_factory.mktemp("served") / "store") as running:
        yield running
