"""The Python in the pages on the vector services runs as it stands, against a server as the page starts it, and prints
what is shown there."""

from __future__ import annotations

import contextlib
import io
import re
import shlex
from pathlib import Path
from typing import Any

import pytest

from tests.wire.serving import OWNER, serving

DOCS = Path(__file__).parents[2] / "docs"
BLOCK = re.compile(
    r"^```python\n(?P<code>(?:(?!```).)*)```\n(?:\n+```text\n(?P<output>(?:(?!```).)*)```)?", re.DOTALL | re.MULTILINE
)
COMMAND = re.compile(r"^```sh\n(ragvec serve [^\n]*)\n```", re.MULTILINE)
PORT = "9000"


@pytest.mark.filterwarnings("ignore:datetime.datetime.utcnow:DeprecationWarning")
@pytest.mark.parametrize(
    ("name", "package"),
    [("s3vectors", "langchain_aws"), ("cos", "qcloud_cos"), ("oss", "alibabacloud_oss_v2"), ("tos", "tos")],
    ids=["s3vectors", "cos", "oss", "tos"],
)
def test_the_examples_print_what_they_are_shown_to_print(name: str, package: str, tmp_path: Path) -> None:
    pytest.importorskip(package, reason=f"{package} is not installed")
    page = (DOCS / f"dialects-{name}.md").read_text(encoding="utf-8")
    (command,) = COMMAND.findall(page)
    words = shlex.split(command)
    given = {word: words[at + 1] for at, word in enumerate(words) if word.startswith("--")}
    found = list(BLOCK.finditer(page))
    assert len(found) >= 4
    assert OWNER.access_key in page
    assert OWNER.secret_key in page
    owner = type(OWNER)(
        access_key=OWNER.access_key,
        secret_key=OWNER.secret_key,
        account=given["--account"],
        name="owner",
        owner=True,
    )
    names: dict[str, Any] = {"__name__": "__main__"}
    with serving(tmp_path / "store", users=[owner], account=given["--account"], region=given["--region"]) as server:
        for block in found:
            code = block["code"].replace(PORT, str(server.port))
            with contextlib.redirect_stdout(io.StringIO()) as printed:
                exec(compile(code, f"dialects-{name}.md", "exec"), names)
            assert printed.getvalue() == (block["output"] or "")
        for session in ("session", "_session"):
            if hasattr(names["client"], session):
                getattr(names["client"], session).close()
