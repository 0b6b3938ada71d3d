"""Looking after a store in a folder: calls that work on its path, whether it can be opened or not."""

from __future__ import annotations

from ragvec.engine.local.migrate import Migration, migrate, pending_migration

__all__ = ["Migration", "migrate", "pending_migration"]
