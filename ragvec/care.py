"""Looking after a store in a folder: calls that work on its path, whether it can be opened or not."""

from __future__ import annotations

from ragvec.engine.local.backup import Backup, backup
from ragvec.engine.local.migrate import Migration, migrate, pending_migration
from ragvec.engine.local.restore import Restore, restore
from ragvec.engine.local.verification import Problem, Verification
from ragvec.engine.local.verify import verify

__all__ = [
    "Backup",
    "Migration",
    "Problem",
    "Restore",
    "Verification",
    "backup",
    "migrate",
    "pending_migration",
    "restore",
    "verify",
]
