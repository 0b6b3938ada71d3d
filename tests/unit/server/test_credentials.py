"""The credentials file: what it may say, and what is said of one that is wrong."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ragvec.errors import InvalidRequest
from ragvec.server.credentials import read_credentials, readable_by_others
from ragvec.server.users import User

OWNER = """
[[users]]
name = "owner"
account = "123456789012"
access_key = "AKID"
secret_key = "secret"
owner = true
"""


def read(folder: Path, text: str) -> tuple[User, ...]:
    path = folder / "users.toml"
    path.write_text(text, encoding="utf-8")
    return read_credentials(path)


def test_a_user_has_what_the_file_says(tmp_path: Path) -> None:
    (owner, guest) = read(
        tmp_path,
        OWNER
        + """
[[users]]
name = "guest"
account = "999999999999"
access_key = "AKID2"
secret_key = "secret2"
session_token = "token"
expires = 2030-01-01T00:00:00Z
policies = ['{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "s3vectors:*", "Resource": "*"}]}']
""",
    )
    assert owner == User(access_key="AKID", secret_key="secret", account="123456789012", name="owner", owner=True)
    assert (guest.session_token, guest.expires, guest.owner) == ("token", 1893456000.0, False)
    (policy,) = guest.policies
    assert json.loads(policy)["Statement"][0]["Action"] == "s3vectors:*"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", r"Expected one \[\[users\]\] or more"),
        ("users = 3", r"Expected one \[\[users\]\] or more"),
        ("[[users]", "is not TOML"),
        (OWNER + "\n[people]", r"Expected only \[\[users\]\] in .*, got 'people'"),
        (OWNER.replace('secret_key = "secret"', ""), r"users\[0\] \(owner\): secret_key: expected it, got nothing"),
        (OWNER.replace('"secret"', '""'), r"users\[0\] \(owner\): secret_key: expected text that is not empty"),
        (OWNER.replace('"AKID"', '"A D"'), r"access_key: expected printable ASCII without blanks"),
        (OWNER.replace("true", '"yes"'), "owner: expected true or false, got 'yes'"),
        (OWNER + "admin = true", "admin: expected only access_key, secret_key, account"),
        (OWNER + "expires = 2030-01-01T00:00:00", "expires: expected a time with its zone"),
        (OWNER + 'expires = "soon"', "expires: expected a time or epoch seconds, got 'soon'"),
        (OWNER + 'policies = ["{"]', "policies: a policy is not JSON"),
        (OWNER + "policies = [3]", "policies: expected each policy to be a JSON object"),
        (OWNER + "session_token = 7", "session_token: expected text"),
        (OWNER + OWNER, "Two users have the access key 'AKID'"),
    ],
    ids=[
        "empty", "number", "toml", "table", "missing", "blank", "space", "owner", "unknown", "zone", "time", "json",
        "policy", "token", "twice",
    ],
)  # fmt: skip
def test_what_is_wrong_is_named(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(InvalidRequest, match=message) as caught:
        read(tmp_path, text)
    assert "secret2" not in str(caught.value)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(InvalidRequest, match=r"none\.toml cannot be read"):
        read_credentials(tmp_path / "none.toml")


def test_modes_tell_who_may_read_it(tmp_path: Path) -> None:
    read(tmp_path, OWNER)
    path = tmp_path / "users.toml"
    path.chmod(0o600)
    assert not readable_by_others(path)
    path.chmod(0o640)
    assert readable_by_others(path)
