from __future__ import annotations

import random

import numpy as np
import pytest

from ragvec.engine.local.posting_values import Texts


def found(stored: list[bytes], wanted: list[bytes]) -> list[bytes]:
    texts = Texts.of(sorted(set(stored)))
    positions = texts.find(Texts.of(sorted(set(wanted))))
    assert positions.dtype == np.int64
    return [texts[at] for at in positions.tolist()]


def words(random_: random.Random, count: int, *, alphabet: bytes, longest: int, prefix: bytes) -> list[bytes]:
    return [prefix + bytes(random_.choices(alphabet, k=random_.randrange(longest))) for _ in range(count)]


@pytest.mark.parametrize("prefix", [b"", b"a", b"document-of-the-archive-"], ids=["no prefix", "a", "long prefix"])
@pytest.mark.parametrize("alphabet", [b"ab", b"a\x00", b"\x00\xff", bytes(range(256))], ids=["ab", "a0", "0f", "all"])
@pytest.mark.parametrize("longest", [4, 12, 40])
def test_many_strings_are_found_as_a_set_finds_them(alphabet: bytes, longest: int, prefix: bytes) -> None:
    random_ = random.Random(longest)
    stored = words(random_, 3000, alphabet=alphabet, longest=longest, prefix=prefix)
    wanted = words(random_, 700, alphabet=alphabet, longest=longest, prefix=prefix) + random_.sample(stored, 400)
    wanted += [prefix + b"x%d" % at for at in range(300)] + [text + b"\x00" for text in stored[:50]]
    assert found(stored, wanted) == sorted(set(stored) & set(wanted))


def test_few_strings_many_strings_and_none() -> None:
    many = [b"%06d" % at for at in range(2000)]
    assert found(many, [b"000007", b"", b"zz", b"1", b"001999"]) == [b"000007", b"001999"]
    assert found([b"000009", b""], many) == [b"000009"]
    assert found([b""], [b"", *many]) == [b""]
    assert found([], many) == []
    assert found(many, []) == []
