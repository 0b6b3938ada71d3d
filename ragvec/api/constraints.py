"""Constraints on the shape of a request, collected and refused together, in the words of the S3 Vectors service."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence

from ragvec.errors import InvalidRequest

__all__ = ["Constraints"]


class Constraints:
    """Collects broken constraints; `check` refuses the request if there are any.

    Each method notes a fault when its rule is broken and tells whether it holds. Both ends of a range are allowed
    values, None as the upper end is no limit, and None as the value (the parameter was not given) satisfies every rule
    but `required`. With `hints`, a message ends with the value that was got where the service does not say it.
    """

    def __init__(self, *, hints: bool) -> None:
        self._hints = hints
        self._faults: list[tuple[str, str, type[InvalidRequest]]] = []

    def add(
        self, path: str, value: str, rule: str, *, kind: type[InvalidRequest] = InvalidRequest, got: object = None
    ) -> bool:
        """Note a fault: `value` is "Value" and what is said of it, `rule` the sentence "Member must …"."""
        hint = "" if got is None or not self._hints else f" (got {got!r})"
        self._faults.append((path, f"{value} at '{path}' failed to satisfy constraint: {rule}{hint}", kind))
        return False

    def required(self, path: str, value: object) -> bool:
        """The parameter is given."""
        return value is not None or self.add(path, "Value", "Member must not be null")

    def length(
        self,
        path: str,
        value: str | Collection[object] | None,
        *,
        low: int,
        high: int | None,
        kind: type[InvalidRequest] = InvalidRequest,
    ) -> bool:
        """A text has this many characters, a list this many items."""
        if value is None or (len(value) >= low and (high is None or len(value) <= high)):
            return True
        rule = (
            f"Member must have length greater than or equal to {low}"
            if high is None
            else f"Member must have length between {low} and {high}, inclusive"
        )
        return self.add(path, f"Value with length {len(value)}", rule, kind=kind)

    def between(self, path: str, value: int | None, *, low: int, high: int | None) -> bool:
        """A number lies in this range."""
        if value is None or (value >= low and (high is None or value <= high)):
            return True
        rule = (
            f"Member must be greater than or equal to {low}"
            if high is None
            else f"Member must be between {low} and {high}, inclusive"
        )
        return self.add(path, "Value", rule, got=value)

    def one_of(self, path: str, value: str | None, allowed: Sequence[str]) -> bool:
        """A text is one of those allowed."""
        if value is None or value in allowed:
            return True
        return self.add(path, "Value", f"Member must satisfy enum value set: [{', '.join(allowed)}]", got=value)

    def unicode(self, path: str, value: str | None) -> bool:
        """A text can be written in UTF-8: it holds no unpaired surrogate."""
        if value is None or value.isascii():
            return True
        try:
            value.encode()
        except UnicodeEncodeError:
            return self.add(path, "Value", "Member must be valid Unicode text", got=value)
        return True

    def matches(self, path: str, value: str, pattern: str) -> bool:
        """A text as a whole matches this regular expression."""
        if re.fullmatch(pattern, value):
            return True
        return self.add(path, "Value", f"Member must satisfy regular expression pattern: {pattern}", got=value)

    def error(self) -> InvalidRequest:
        """The error that names every fault noted, of the class of the first when there is one only."""
        fields = tuple((path, text) for path, text, _ in self._faults)
        plural = "error" if len(fields) == 1 else "errors"
        message = f"{len(fields)} validation {plural} detected. " + "; ".join(text for _, text in fields)
        kind = self._faults[0][2] if len(fields) == 1 else InvalidRequest
        return kind(message, path=fields[0][0], detail=fields[0][1], fields=fields)

    def check(self) -> None:
        """Raise the error if any fault was noted."""
        if self._faults:
            raise self.error()
