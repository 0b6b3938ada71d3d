"""docs/security.md names what policies understand, and nothing else."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from ragvec.server.policy import keys, operators

PAGE = (Path(__file__).parents[2] / "docs" / "security.md").read_text(encoding="utf-8")
TABLE = PAGE[PAGE.index("| part | understood |") : PAGE.index("**What is not understood")]
NAMED = {name.lower() for name in re.findall(r"`(aws:\w+/?|s3vectors:\w+/?)", TABLE)}
KNOWN = {
    *keys._OF_CONNECTION,
    *keys._GIVEN,
    *keys._GIVEN_BEFORE_SLASH,
    "s3vectors:vectorbuckettag/",
    "aws:resourcetag/",
}


def test_every_condition_key_is_there() -> None:
    assert NAMED == KNOWN


@pytest.mark.parametrize("name", sorted({each.name for each in operators._BY_NAME.values()}))
def test_every_operator_is_there(name: str) -> None:
    kinds = re.findall(r"`(\w+)(…?)`", TABLE[TABLE.index("| operators |") :])
    assert any(name == kind or (more and name.startswith(kind)) for kind, more in kinds)
