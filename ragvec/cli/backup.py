"""`ragvec backup` and `ragvec restore`."""

from __future__ import annotations

import argparse
from typing import Any

from ragvec.cli.arguments import Commands, command, target
from ragvec.cli.output import Output, bytes_text, number_text
from ragvec.cli.progress import bytes_done

__all__ = ["add"]


def add(commands: Commands[argparse.ArgumentParser], common: argparse.ArgumentParser) -> None:
    """Add the commands."""
    make = command(
        commands,
        "backup",
        run=_backup,
        summary="back up a store, also while it is written to",
        description=(
            "Back up the store, as it is at one moment, to a new folder FOLDER, while any process may use it. The "
            "folder is a store of its own, which can be opened read-only, with a backup.json that lists size and "
            "SHA-256 of every file.\n\n"
            "With --since, files that an earlier backup has too are linked, not copied: they take space once, and "
            "each of the two backups may be removed by itself."
        ),
        examples=(
            "ragvec backup /backups/monday\nragvec backup /backups/tuesday --since /backups/monday\n"
            "ragvec backup notes-only --index work/notes"
        ),
        parents=(common,),
    )
    make.add_argument("folder", metavar="FOLDER")
    make.add_argument("--since", metavar="BACKUP", help="an earlier backup, to link from")
    part = make.add_mutually_exclusive_group()
    part.add_argument("--bucket", metavar="BUCKET", help="only this bucket")
    part.add_argument("--index", metavar="BUCKET/INDEX", type=target, help="only this index")
    back = command(
        commands,
        "restore",
        run=_restore,
        summary="restore a store, or one index, from a backup",
        description=(
            "Restore the backup BACKUP as the store (--store DIR), which must not be there yet. Every file is compared "
            "with backup.json first; a damaged or unfinished backup is refused.\n\n"
            "With --replace the store that is there is kept beside, under a name that is printed; nobody may have it "
            "open. With --index one index is restored into the store, which may be in use."
        ),
        examples=(
            "ragvec restore /backups/monday --store restored\nragvec restore /backups/monday --replace\n"
            "ragvec restore /backups/monday --index work/notes --as work/notes-of-monday"
        ),
        parents=(common,),
    )
    back.add_argument("backup", metavar="BACKUP")
    back.add_argument("--replace", action="store_true", help="set the present store aside")
    back.add_argument("--index", metavar="BUCKET/INDEX", type=target, help="only this index")
    back.add_argument("--as", dest="name", metavar="BUCKET/INDEX", type=target, help="its name in the store")


def _backup(arguments: argparse.Namespace, output: Output) -> int:
    import msgspec

    from ragvec.engine.local.backup import backup

    with bytes_done(output, label="backing up") as progress:
        done = backup(
            arguments.store,
            arguments.folder,
            since=arguments.since,
            bucket=arguments.bucket,
            index=None if arguments.index is None else str(arguments.index),
            progress=progress,
        )
    linked = f", {bytes_text(done.linked_bytes)} of them linked" if done.linked_bytes else ""
    output.tell(
        msgspec.to_builtins(done),
        f"Backed up {number_text(len(done.indexes), 'index')} of {arguments.store} to {arguments.folder}: "
        f"{number_text(done.files, 'file')}, {bytes_text(done.bytes)}{linked}.",
    )
    return 0


def _restore(arguments: argparse.Namespace, output: Output) -> int:
    import msgspec

    from ragvec.engine.local.restore import restore

    chosen: dict[str, Any] = {}
    if arguments.index is not None:
        chosen["index"] = str(arguments.index)
    if arguments.name is not None:
        chosen["name"] = str(arguments.name)
    with bytes_done(output, label="restoring") as progress:
        done = restore(arguments.backup, arguments.store, replace=arguments.replace, progress=progress, **chosen)
    what = done.indexes[0] if arguments.index else number_text(len(done.indexes), "index")
    kept = f" The store that was there is now {done.kept}." if done.kept else ""
    output.tell(
        msgspec.to_builtins(done),
        f"Restored {what} from {arguments.backup} to {arguments.store}: {bytes_text(done.bytes)}.{kept}",
    )
    if done.problems:
        output.note(
            f"The store had {number_text(len(done.problems), 'problem')} when it was backed up, the first of them: "
            f"{done.problems[0]}"
        )
    return 0
