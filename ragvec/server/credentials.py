"""The credentials file: the users of a server as TOML.

    [[users]]
    name = "owner"
    account = "123456789012"
    access_key = "AKIDEXAMPLE0000000"
    secret_key = "..."
    owner = true

`session_token`, `expires` (a TOML time, or epoch seconds) and `policies` (tables, or JSON as text) may be left out.
"""

from __future__ import annotations

import datetime
import json
import stat
import sys
from pathlib import Path
from typing import Any

import msgspec

from ragvec.errors import InvalidPolicy, InvalidRequest
from ragvec.server.policy.grammar import check_user_policy
from ragvec.server.users import User, Users

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

__all__ = ["read_credentials", "readable_by_others"]

_FIELDS = {field.name: field for field in msgspec.structs.fields(User)}
_TEXTS = ("access_key", "secret_key", "account", "name")


def read_credentials(path: str | Path) -> tuple[User, ...]:
    """The users in the file, in their order; at least one.

    Raises:
        InvalidRequest: the file cannot be read, is not TOML, or a user in it is not one; the message names the user and
        the field, and never a secret.
    """
    try:
        text = Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8"
        raise InvalidRequest(f"The credentials file {path} cannot be read: {reason}", path="credentials") from None
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise InvalidRequest(f"The credentials file {path} is not TOML: {error}", path="credentials") from None
    for name in document:
        if name != "users":
            raise InvalidRequest(f"Expected only [[users]] in {path}, got {name!r}", path=name)
    entries = document.get("users")
    if not isinstance(entries, list) or not entries or not all(isinstance(entry, dict) for entry in entries):
        raise InvalidRequest(f"Expected one [[users]] or more in {path}", path="users")
    users = tuple(_user(entry, f"users[{place}]") for place, entry in enumerate(entries))
    Users(users)
    return users


def readable_by_others(path: str | Path) -> bool:
    """Whether others than its owner may read the file, which holds secrets; False where files have no such modes."""
    return sys.platform != "win32" and bool(Path(path).stat().st_mode & (stat.S_IRGRP | stat.S_IROTH))


def _user(entry: dict[str, Any], place: str) -> User:
    name = entry.get("name")
    who = f"{place} ({name})" if isinstance(name, str) else place
    for field in entry:
        if field not in _FIELDS:
            raise _wrong(who, field, f"expected only {', '.join(_FIELDS)}")
    for field in _TEXTS:
        value = entry.get(field)
        if not isinstance(value, str) or not value:
            raise _wrong(
                who, field, "expected text that is not empty" if field in entry else "expected it, got nothing"
            )
        if not value.isascii() or not value.isprintable() or (field != "name" and " " in value):
            raise _wrong(who, field, "expected printable ASCII without blanks")
    if not isinstance(entry.get("owner", False), bool):
        raise _wrong(who, "owner", f"expected true or false, got {entry['owner']!r}")
    token = entry.get("session_token")
    if token is not None and (not isinstance(token, str) or not token):
        raise _wrong(who, "session_token", "expected text that is not empty")
    return User(
        **{field: entry[field] for field in _TEXTS},
        owner=entry.get("owner", False),
        session_token=token,
        expires=_expires(entry.get("expires"), who),
        policies=tuple(_policies(entry.get("policies", []), who)),
    )


def _expires(value: Any, who: str) -> float | None:
    if isinstance(value, datetime.datetime):
        if value.tzinfo is None:
            raise _wrong(who, "expires", f"expected a time with its zone, such as {value.isoformat()}Z")
        return value.timestamp()
    if value is None or (isinstance(value, (int, float)) and not isinstance(value, bool)):
        return value
    raise _wrong(who, "expires", f"expected a time or epoch seconds, got {value!r}")


def _policies(value: Any, who: str) -> list[str]:
    if not isinstance(value, list):
        raise _wrong(who, "policies", f"expected a list of policies, got {type(value).__name__}")
    found = []
    for policy in value:
        try:
            document = json.loads(policy) if isinstance(policy, str) else policy
        except ValueError as error:
            raise _wrong(who, "policies", f"a policy is not JSON: {error}") from None
        if not isinstance(document, dict):
            raise _wrong(who, "policies", "expected each policy to be a JSON object or a table")
        try:
            found.append(policy if isinstance(policy, str) else json.dumps(document))
            check_user_policy(found[-1])
        except (InvalidPolicy, TypeError) as error:  # what TOML has and JSON has not, such as a date
            raise _wrong(who, "policies", str(error)) from None
    return found


def _wrong(who: str, field: str, message: str) -> InvalidRequest:
    return InvalidRequest(f"{who}: {field}: {message}", path=field)
