"""Looking after a store in a folder: calls that work on its path, whether it can be opened or not."""

from __future__ import annotations

from ragvec.engine.local.backup import Backup, backup
from ragvec.engine.local.migrate import Migration, migrate, pending_migration
from ragvec.engine.local.repair import Repair, repair
from ragvec.engine.local.repair_index import LostRow
from ragvec.engine.local.restore import Restore, restore
from ragvec.engine.local.verification import Problem, Verification
from ragvec.engine.local.verify import verify

__all__ = [
    "Backup",
    "LostRow",
    "Migration",
    "Problem",
    "Repair",
    "Restore",
    "Verification",
    "backup",
    "migrate",
    "pending_migration",
    "repair",
    "restore",
    "verify",
]
