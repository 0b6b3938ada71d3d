"""Access rules of an index, and the filters over its passages that they make for somebody.

A document without a list of allowed principals is public. Of a hierarchical list every level must let through. Whoever
is denied, as a user or through any group, does not see it, whatever else is allowed.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from ragvec.filters.nodes import And, Compare, Exists, Filter, In, Not, Or
from ragvec.kendra.access.configurations import AccessConfiguration, Configurations
from ragvec.kendra.access.lists import ACL_CONFIGURATION, ACL_LEVELS, allow_field
from ragvec.kendra.access.mappings import NO_GROUPS, Groups, read_groups
from ragvec.pipeline.passages import ACL_ALLOW, ACL_DENY

if TYPE_CHECKING:
    from ragvec.kendra.notes import Notes

__all__ = ["PLAIN", "Rules", "allowed", "note_levels", "not_denied", "visible_to"]

_LEVELS = "access.levels"


class Rules:
    """What an index knows of access beside its documents: mappings of users to groups, configurations, and how many
    levels its hierarchical lists have."""

    def __init__(
        self,
        *,
        groups: Groups = NO_GROUPS,
        configurations: Sequence[AccessConfiguration] = (),
        levels: int = 1,
    ) -> None:
        self.groups = groups
        self.configurations = tuple(configurations)
        self.levels = levels

    @classmethod
    def of(cls, notes: Notes) -> Rules:
        """The rules of an index as they are now."""
        return cls(
            groups=read_groups(notes),
            configurations=Configurations(notes).all(),
            levels=notes.read(_LEVELS, int) or 1,
        )

    def expand(self, names: Sequence[str]) -> tuple[str, ...]:
        """The names, and those of all groups to which they belong by principal mappings."""
        return self.groups.expand(names)

    def allowed(self, names: Sequence[str]) -> Filter:
        """Holds where somebody with all these names is allowed, and where the document is public."""
        listed = tuple(names)
        parts: list[Filter] = [Or((Not(Exists(ACL_ALLOW)), In(ACL_ALLOW, listed)))]
        # More levels than are known are there only if somebody stored documents past the query layer: better hidden
        # than shown.
        deeper: list[Filter] = [Compare(ACL_LEVELS, "lte", self.levels)]
        for level in range(2, self.levels + 1):
            deeper.append(Or((Not(Exists(allow_field(level))), In(allow_field(level), listed))))
        parts.append(Or((Not(Exists(ACL_LEVELS)), And(tuple(deeper)) if len(deeper) > 1 else deeper[0])))
        open_to = tuple(one.id for one in self.configurations if self._allows(one, listed))
        parts.append(Or((Not(Exists(ACL_CONFIGURATION)), In(ACL_CONFIGURATION, open_to))))
        return And(tuple(parts))

    def not_denied(self, names: Sequence[str]) -> Filter:
        """Holds where none of the names is denied."""
        mine = set(names)
        parts: list[Filter] = [Not(In(ACL_DENY, tuple(names)))]
        closed = tuple(one.id for one in self.configurations if not mine.isdisjoint(one.access.denied))
        if closed:
            parts.append(Not(In(ACL_CONFIGURATION, closed)))
        return And(tuple(parts)) if len(parts) > 1 else parts[0]

    def visible_to(self, names: Sequence[str]) -> Filter:
        """Holds where somebody with all these names may look; without any name, what is public."""
        return And((self.allowed(names), self.not_denied(names)))

    @staticmethod
    def _allows(one: AccessConfiguration, names: Sequence[str]) -> bool:
        mine = set(names)
        return not any(mine.isdisjoint(level) for level in one.access.levels)


PLAIN = Rules()
"""The rules of an index that has neither mappings nor configurations nor hierarchical lists."""


def allowed(names: Sequence[str]) -> Filter:
    """As `Rules.allowed`, of plain rules."""
    return PLAIN.allowed(names)


def not_denied(names: Sequence[str]) -> Filter:
    """As `Rules.not_denied`, of plain rules."""
    return PLAIN.not_denied(names)


def visible_to(names: Sequence[str]) -> Filter:
    """As `Rules.visible_to`, of plain rules."""
    return PLAIN.visible_to(names)


def note_levels(notes: Notes, levels: int) -> None:
    """Tell that documents with so many levels are about to be stored; until then these would be hidden from all."""
    if levels > (notes.read(_LEVELS, int) or 1):
        notes.change(_LEVELS, int, lambda known: max(levels, known or 1))
