"""The operations on bucket policies: documents are checked and kept."""

from __future__ import annotations

from typing import Any

import msgspec

from ragvec.api.access import Session, bucket_name
from ragvec.api.dialects import PolicyRules
from ragvec.api.requests import DeleteVectorBucketPolicy, GetVectorBucketPolicy, PutVectorBucketPolicy
from ragvec.api.responses import Empty, Policy
from ragvec.errors import InvalidPolicy

__all__ = [
    "check_policy",
    "delete_vector_bucket_policy",
    "get_vector_bucket_policy",
    "put_vector_bucket_policy",
]

_PAIRS = (("Principal", "NotPrincipal"), ("Action", "NotAction"), ("Resource", "NotResource"))
_STATEMENT_KEYS = ("Sid", "Effect", *(key for pair in _PAIRS for key in pair), "Condition")


def put_vector_bucket_policy(session: Session, request: PutVectorBucketPolicy) -> Empty:
    """Set the policy of a bucket, kept letter by letter. Raises InvalidPolicy, BucketNotFound."""
    name = bucket_name(session, request)
    check_policy(request.policy, session.dialect.policies)
    session.engine.catalog.put_policy(name, request.policy)
    return Empty()


def get_vector_bucket_policy(session: Session, request: GetVectorBucketPolicy) -> Policy:
    """Return the policy of a bucket. Raises BucketNotFound, PolicyNotFound."""
    return Policy(policy=session.engine.catalog.policy(bucket_name(session, request)))


def delete_vector_bucket_policy(session: Session, request: DeleteVectorBucketPolicy) -> Empty:
    """Remove the policy of a bucket, if there is one. Raises BucketNotFound."""
    session.engine.catalog.delete_policy(bucket_name(session, request))
    return Empty()


def check_policy(text: str, rules: PolicyRules) -> None:
    """Raise InvalidPolicy unless `text` is a JSON policy document.

    That is a version, and statements that each have an effect, principals, actions and resources.
    """
    try:
        document = msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeEncodeError) as error:
        raise _invalid("must be a JSON object", f"the text is no JSON ({error})", "") from error
    except RecursionError as error:
        raise _invalid("must be a JSON object", "the text is nested too deep", "") from error
    members = _members(document, ("Version", "Id", "Statement"), rules, "")
    version = members.get("Version")
    if version not in rules.versions:
        wanted = " or ".join(f'"{each}"' for each in rules.versions)
        raise _invalid(f"must have the Version {wanted}", f"got {_shown(version)}", "Version")
    statements = members.get("Statement")
    if isinstance(statements, dict) and rules.single_statement:
        statements = [statements]
    if not isinstance(statements, list) or not statements:
        raise _invalid("must have a non-empty list of statements", f"got {_shown(statements)}", "Statement")
    for i, statement in enumerate(statements):
        _check_statement(statement, rules, f"Statement[{i}]")


def _check_statement(statement: Any, rules: PolicyRules, path: str) -> None:
    members = _members(statement, _STATEMENT_KEYS, rules, path)
    effect = members.get("Effect")
    if rules.any_case and isinstance(effect, str):
        effect = effect.capitalize()
    if effect not in ("Allow", "Deny"):
        raise _invalid("must have the Effect Allow or Deny", f"got {_shown(effect)}", f"{path}.Effect")
    for name, opposite in _PAIRS:
        given = [key for key in (name, opposite) if key in members]
        if len(given) != 1:
            got = "both" if given else "neither"
            raise _invalid(f"must have one of {name} and {opposite}", f"got {got}", path)
        value = members[given[0]]
        if name == "Principal" and isinstance(value, dict):
            named = [name for entry in value.values() for name in (entry if isinstance(entry, list) else [entry])]
        else:
            named = value if isinstance(value, list) else [value]
        if not named or not all(isinstance(entry, str) and entry for entry in named):
            raise _invalid(f"must name {name.lower()}s as text", f"got {_shown(value)}", f"{path}.{given[0]}")
    if "Condition" in members and not isinstance(members["Condition"], dict):
        raise _invalid("must have an object as Condition", f"got {_shown(members['Condition'])}", f"{path}.Condition")


def _members(value: Any, known: tuple[str, ...], rules: PolicyRules, path: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise _invalid("must be an object", f"got {_shown(value)}", path)
    members = {(key[:1].upper() + key[1:] if rules.any_case else key): part for key, part in value.items()}
    if len(members) < len(value):
        raise _invalid("must have each member once", "one is there in two spellings", path)
    unknown = sorted(set(members) - set(known))
    if unknown:
        raise _invalid(f"may have only {', '.join(known)}", f"got {unknown[0][:60]!r}", path)
    return members


def _invalid(rule: str, got: str, path: str) -> InvalidPolicy:
    place = f" - at `{path}`" if path else ""
    subject = "The policy" if "[" not in path else "A statement of the policy"
    return InvalidPolicy(f"{subject} {rule}; {got}{place}", path="/policy")


def _shown(value: Any) -> str:
    if isinstance(value, (dict, list)) and value:
        # What is in it may be deep, and is no news to whoever sent it.
        return f"an {'object' if isinstance(value, dict) else 'array'} of {len(value):,}"
    shown = msgspec.json.encode(value).decode()
    return shown if len(shown) <= 60 else shown[:60] + "…"
