"""Progress of what is counted in bytes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from ragvec.cli.output import Output

__all__ = ["bytes_done"]


@contextmanager
def bytes_done(output: Output, *, label: str) -> Iterator[Callable[[int, int], object]]:
    """What to tell how many bytes are done, of how many: a progress bar on standard error when that is a terminal."""
    from tqdm.auto import tqdm

    with tqdm(
        desc=label, total=0, unit="B", unit_scale=True, disable=True if output.quiet else None, leave=False
    ) as bar:

        def told(done: int, total: int) -> None:
            bar.total = total
            bar.update(done - bar.n)

        yield told
