"""Every fuzz target by name."""

from __future__ import annotations

from tests.fuzz.harness import Target
from tests.fuzz.targets import documents, files, filters, kendra, kendra_resources, requests, stored, texts

__all__ = ["TARGETS"]

TARGETS: dict[str, Target] = {
    target.name: target
    for module in (filters, kendra, kendra_resources, requests, texts, files, documents, stored)
    for target in module.TARGETS
}
