"""Statements of policies in one form, whatever grammar they were written in, and what they say of a request."""

from __future__ import annotations

import msgspec

from ragvec.server.policy.keys import Circumstances
from ragvec.server.policy.operators import Operator
from ragvec.server.policy.patterns import NotUnderstood, Pattern, Resolve
from ragvec.server.policy.principals import Meant, Whoever
from ragvec.server.users import User

__all__ = ["Asked", "Condition", "Document", "Statement"]


class Asked(msgspec.Struct, frozen=True):
    """What is asked for: the wordings of the action, in small letters, and of the resource."""

    actions: tuple[str, ...]
    resources: tuple[str, ...]


class Condition(msgspec.Struct, frozen=True, eq=False):
    """An operator with a condition key and the values to compare with; `fault` tells why it cannot be evaluated."""

    key: str
    operator: Operator | None = None
    values: tuple[Pattern, ...] = ()
    fault: str = ""

    def holds(self, circumstances: Circumstances) -> bool:
        """Whether the request satisfies it. Raises NotUnderstood."""
        operator = self.operator
        if operator is None or self.fault:
            raise NotUnderstood(self.fault)
        got = circumstances.values(self.key)
        try:
            if operator.compare is None:
                return any((value.text.lower() == "true") == (not got) for value in self.values)
            if not got and operator.optional:
                return True
            fits = [
                any(operator.compare(each, value, circumstances.value) for value in self.values) != operator.negated
                for each in got
            ]
        except ValueError as error:
            raise NotUnderstood(f"a value for {self.key!r}: {error}") from error
        if operator.quantifier == "all":
            return all(fits)
        if operator.quantifier == "any":
            return any(fits)
        if operator.negated:
            return all(fits)
        return any(fits)


class Statement(msgspec.Struct, frozen=True, eq=False):
    """One statement. With `except_principals` (`…_actions`, `…_resources`) it means all but those. `principals` None
    means whoever the policy is attached to; `unclear` tells that some of them are in no form that is known. Patterns of
    actions are in small letters."""

    allows: bool
    principals: tuple[Whoever, ...] | None
    actions: tuple[Pattern, ...]
    resources: tuple[Pattern, ...]
    conditions: tuple[Condition, ...] = ()
    except_principals: bool = False
    except_actions: bool = False
    except_resources: bool = False
    unclear: bool = False

    def settled(self, user: User, asked: Asked) -> Meant | None:
        """As `means`, for whatever circumstances; None: it depends on them."""
        meant = self._means_user(user)
        if meant is Meant.NOT or not self._means_action(asked):
            return Meant.NOT
        if any(pattern.keys for pattern in self.resources):
            return None
        if not self._means_resource(asked, _no_value):
            return Meant.NOT
        return None if self.conditions else meant

    def means(self, user: User, asked: Asked, circumstances: Circumstances) -> Meant:
        """How the statement means this user who asks this.

        What is not understood in one that allows makes it mean nobody. One that denies then means everybody whom the
        rest of it means.
        """
        meant = self._means_user(user)
        if meant is Meant.NOT or not self._means_action(asked):
            return Meant.NOT
        try:
            if not self._means_resource(asked, circumstances.value):
                return Meant.NOT
            understood = True
        except NotUnderstood:
            understood = False
        # A condition that surely does not hold settles it, even where another is not understood.
        for condition in self.conditions:
            try:
                if not condition.holds(circumstances):
                    return Meant.NOT
            except NotUnderstood:
                understood = False
        return meant if understood or not self.allows else Meant.NOT

    def _means_user(self, user: User) -> Meant:
        if self.principals is None:
            return Meant.USER
        if self.unclear and (self.except_principals or not self.allows):
            return Meant.NOT if self.allows else Meant.USER
        meant = max((each.means(user) for each in self.principals), default=Meant.NOT)
        if not self.except_principals:
            return meant
        # Who is named only as one of an account is not excepted from what denies, and is from what allows.
        excepted = meant is not Meant.NOT if self.allows else meant is Meant.USER
        return Meant.NOT if excepted else Meant.USER

    def _means_action(self, asked: Asked) -> bool:
        return _any(self.actions, asked.actions, _no_value) != self.except_actions

    def _means_resource(self, asked: Asked, resolve: Resolve) -> bool:
        return _any(self.resources, asked.resources, resolve) != self.except_resources


def _no_value(key: str) -> None:
    """For patterns without variables."""
    raise AssertionError(key)


def _any(patterns: tuple[Pattern, ...], texts: tuple[str, ...], resolve: Resolve) -> bool:
    return any(pattern.matches(text, resolve) for pattern in patterns for text in texts)


class Document(msgspec.Struct, frozen=True, eq=False):
    """A policy. `faults` are the parts of it that cannot be evaluated, each with its place."""

    statements: tuple[Statement, ...]
    faults: tuple[tuple[str, str], ...] = ()
