"""Tokens of a UserContext: who a JSON token names, and who a JSON Web Token proves.

A JSON token is a JSON object and proves nothing, as in Kendra. A JSON Web Token is verified: its signature, by a key
that it may name but not bring; its issuer, where the index demands one; its times, with a minute's tolerance.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from types import ModuleType
from typing import Any, Literal

import msgspec

from ragvec.errors import AccessDenied, InvalidRequest
from ragvec.extras import require
from ragvec.kendra.access.keys import Fetched, GivenKeys, Pem, WebKey, check_key_url, keys_of
from ragvec.kendra.limits import Limits
from ragvec.kendra.problems import shown, unexpected

__all__ = ["TokenConfiguration", "caller", "read_token_configuration"]

_ALGORITHMS: Mapping[str, tuple[str, ...]] = {
    "RSA": ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512"),
    "EC": ("ES256", "ES384", "ES512"),
    "OKP": ("EdDSA",),
    "oct": ("HS256", "HS384", "HS512"),
}
"""What a key of each type may sign with: the token chooses among these, so that no public key is taken for a secret."""

_ASYMMETRIC = (*_ALGORITHMS["RSA"], *_ALGORITHMS["EC"], *_ALGORITHMS["OKP"])
_LEEWAY_SECONDS = 60
_TRIED = 16
"""Keys that are tried for a token that names none."""

_LONGEST = {
    "UserNameAttributeField": 100,
    "GroupAttributeField": 100,
    "Issuer": 65,
    "ClaimRegex": 100,
    "URL": 2048,
    "SecretManagerArn": 1284,
    "KeyLocation": 20,
}
_fetched = Fetched()


class TokenConfiguration(msgspec.Struct, frozen=True, kw_only=True):
    """How the tokens of an index are read. `source` is the URL or the ARN of the keys of JSON Web Tokens."""

    kind: Literal["JSON", "JWT"]
    user_field: str
    group_field: str
    location: Literal["URL", "SECRET_MANAGER"] | None = None
    source: str = ""
    issuer: str | None = None
    claim_regex: str | None = None


def read_token_configuration(value: object, *, path: str = "UserTokenConfigurations") -> TokenConfiguration | None:
    """What `UserTokenConfigurations` say; None where they say nothing.

    Raises:
        InvalidRequest: more than one, an unknown or missing member, a URL that keys cannot be fetched from, a regular
            expression that is none.
    """
    if value is None or value == []:
        return None
    if not isinstance(value, (list, tuple)):
        raise unexpected("a list", shown(value), path=path)
    if len(value) > 1:
        raise unexpected("at most one configuration", len(value), path=path)
    (one,) = value
    place = f"{path}[0]"
    given = _members(one, "JwtTokenTypeConfiguration", "JsonTokenTypeConfiguration", path=place)
    if len(given) != 1:
        raise unexpected("JwtTokenTypeConfiguration or JsonTokenTypeConfiguration", _listed(given), path=place)
    ((kind, content),) = given.items()
    return (_read_json if kind.startswith("Json") else _read_jwt)(content, path=f"{place}.{kind}")


def caller(
    token: object, configuration: TokenConfiguration, *, keys: GivenKeys, limits: Limits, path: str
) -> tuple[str | None, tuple[str, ...]]:
    """The user and groups that a token names; `keys` stand for those at a URL or under an ARN, where they have it.

    Raises:
        InvalidRequest: no text, or too much of it.
        AccessDenied: no token, no valid signature, wrong issuer, out of date, names nobody; no key to be had.
        MissingExtra: PyJWT is not installed.
    """
    if not isinstance(token, str) or not 1 <= len(token) <= limits.token_length:
        got = f"{len(token)} characters" if isinstance(token, str) else shown(token)
        raise unexpected(f"text of 1 to {limits.token_length:,} characters", got, path=path)
    claims = _json_claims(token) if configuration.kind == "JSON" else _verified(token, configuration, keys)
    return _named(claims, configuration, limits)


def _read_json(content: object, *, path: str) -> TokenConfiguration:
    given = _members(content, "UserNameAttributeField", "GroupAttributeField", path=path)
    for name in ("UserNameAttributeField", "GroupAttributeField"):
        if name not in given:
            raise unexpected("text", "none", path=f"{path}.{name}")
    return TokenConfiguration(
        kind="JSON", user_field=given["UserNameAttributeField"], group_field=given["GroupAttributeField"]
    )


def _read_jwt(content: object, *, path: str) -> TokenConfiguration:
    given = _members(content, *_LONGEST, path=path)
    location = given.get("KeyLocation")
    if location not in ("URL", "SECRET_MANAGER"):
        raise unexpected("URL or SECRET_MANAGER", shown(location), path=f"{path}.KeyLocation")
    wanted = "URL" if location == "URL" else "SecretManagerArn"
    if wanted not in given:
        raise unexpected("text", "none", path=f"{path}.{wanted}")
    if location == "URL":
        problem = check_key_url(given["URL"])
        if problem is not None:
            raise InvalidRequest(f"Keys cannot be fetched from there: {problem} - at `{path}.URL`", path=f"{path}.URL")
    regex = given.get("ClaimRegex")
    if regex is not None:
        try:
            re.compile(regex)
        except re.error as error:
            raise unexpected("a regular expression", f"{shown(regex)}: {error}", path=f"{path}.ClaimRegex") from error
    return TokenConfiguration(
        kind="JWT",
        user_field=given.get("UserNameAttributeField", "user"),
        group_field=given.get("GroupAttributeField", "groups"),
        location=location,
        source=given[wanted],
        issuer=given.get("Issuer"),
        claim_regex=regex,
    )


def _members(value: object, *names: str, path: str) -> dict[str, Any]:
    if not isinstance(value, Mapping):
        raise unexpected("an object", shown(value), path=path)
    unknown = sorted(map(str, value.keys() - set(names)))
    if unknown:
        raise InvalidRequest(f"Unknown member {shown(unknown[0])} - at `{path}`", path=path)
    given = {name: content for name, content in value.items() if content is not None}
    for name, content in given.items():
        longest = _LONGEST.get(name)
        if longest is not None and not (isinstance(content, str) and 1 <= len(content) <= longest):
            raise unexpected(f"text of 1 to {longest} characters", shown(content), path=f"{path}.{name}")
    return given


def _json_claims(token: str) -> Mapping[str, Any]:
    try:
        decoded = msgspec.json.decode(token)
    except (msgspec.DecodeError, UnicodeEncodeError, RecursionError) as error:
        raise AccessDenied(f"The token is not a JSON object: {error}") from error
    if not isinstance(decoded, dict):
        raise AccessDenied("The token is not a JSON object")
    return decoded


def _verified(token: str, configuration: TokenConfiguration, given: GivenKeys) -> Mapping[str, Any]:
    jwt = require("jwt", extra="tokens", purpose="Verifying a token", package="PyJWT")
    # Without cryptography PyJWT knows secrets alone.
    require("cryptography", extra="tokens", purpose="Verifying a token")
    try:
        header = jwt.get_unverified_header(token)
    except (jwt.PyJWTError, ValueError, UnicodeError, RecursionError) as error:
        raise AccessDenied(f"The token is not a JSON Web Token: {error}") from error
    algorithm, wanted = header.get("alg"), header.get("kid")
    known = (*_ASYMMETRIC, *_ALGORITHMS["oct"])
    if algorithm not in known:
        raise AccessDenied(f"The token is signed by {shown(algorithm)}; accepted are {', '.join(known)}")
    wanted = wanted if isinstance(wanted, str) else None
    problem = "no key fits it"
    for key in _fitting(jwt, _keys(configuration, given, wanted), algorithm=algorithm, wanted=wanted):
        try:
            claims: Mapping[str, Any] = jwt.decode(
                token,
                key,
                algorithms=[algorithm],
                issuer=configuration.issuer,
                leeway=_LEEWAY_SECONDS,
                options={"verify_aud": False, "verify_iat": False, "enforce_minimum_key_length": True},
            )
        except (jwt.InvalidSignatureError, jwt.InvalidKeyError) as error:
            problem = str(error)
        except (jwt.PyJWTError, ValueError, TypeError, ArithmeticError, RecursionError) as error:
            raise AccessDenied(f"The token is not valid: {error}") from error
        else:
            return claims
    raise AccessDenied(f"The token is not valid: {problem}")


def _keys(configuration: TokenConfiguration, given: GivenKeys, wanted: str | None) -> Sequence[WebKey | Pem]:
    source = configuration.source
    if source in given:
        return keys_of(given[source])
    if configuration.location == "URL":
        # What anybody can fetch is no secret, so nothing is signed by it.
        return [key for key in _fetched.keys(source, wanted=wanted) if key.get("kty") != "oct"]
    raise AccessDenied(
        f"The key for tokens is in AWS Secrets Manager, which is not asked: pass Settings(token_keys={{{source!r}: "
        "file}})"
    )


def _fitting(jwt: ModuleType, keys: Sequence[WebKey | Pem], *, algorithm: str, wanted: str | None) -> list[Any]:
    """Those of the keys that a token with this algorithm and key id may be signed by."""
    fitting: list[Any] = []
    for key in keys:
        if isinstance(key, Pem):
            if algorithm in _ASYMMETRIC:
                fitting.append(key.data)
            continue
        named = wanted is None or key.get("kid") in (wanted, None)
        free = key.get("alg") in (algorithm, None) and key.get("use") in ("sig", None)
        if named and free and algorithm in _ALGORITHMS.get(str(key.get("kty")), ()):
            try:
                fitting.append(jwt.PyJWK(dict(key), algorithm=algorithm).key)
            except (jwt.PyJWTError, ValueError, TypeError, KeyError):
                continue  # a key that is none verifies nothing
    return fitting[:_TRIED]


def _named(
    claims: Mapping[str, Any], configuration: TokenConfiguration, limits: Limits
) -> tuple[str | None, tuple[str, ...]]:
    """The user and groups among the claims."""
    user = claims.get(configuration.user_field)
    groups = claims.get(configuration.group_field)
    if user is None and groups is None:
        raise AccessDenied(
            f"The token names neither a user, in {configuration.user_field!r}, nor groups, in "
            f"{configuration.group_field!r}"
        )
    if user is not None and not (isinstance(user, str) and user):
        raise AccessDenied(f"Expected a user's name in {configuration.user_field!r} of the token, got {shown(user)}")
    if user is not None and configuration.claim_regex is not None:
        match = re.fullmatch(configuration.claim_regex, user)
        if match is None:
            raise AccessDenied(f"The user {shown(user)} of the token does not match {configuration.claim_regex!r}")
        user = match.group(1) if match.re.groups else user
        if not user:
            raise AccessDenied(f"The user of the token is empty by {configuration.claim_regex!r}")
    groups = [] if groups is None else groups
    if not isinstance(groups, list) or not all(isinstance(group, str) and group for group in groups):
        raise AccessDenied(
            f"Expected a list of group names in {configuration.group_field!r} of the token, got {shown(groups)}"
        )
    if limits.principals is not None and len(groups) > limits.principals:
        raise AccessDenied(f"Expected at most {limits.principals} groups in the token, got {len(groups)}")
    return user, tuple(groups)


def _listed(given: Mapping[str, Any]) -> str:
    return " and ".join(given) or "nothing"
