"""What stands around the operations on an index."""

from __future__ import annotations

from collections.abc import Callable

from ragvec.engine.local import forks

__all__ = ["Guarded", "Translated"]


class Translated:
    """Around an operation: what is raised in it is shown to `trouble` first, which may raise something better."""

    __slots__ = ("_trouble",)

    def __init__(self, trouble: Callable[[BaseException], None]) -> None:
        self._trouble = trouble

    def __enter__(self) -> None:
        pass

    def __exit__(self, _: object, error: BaseException | None, __: object) -> None:
        if error is not None:
            self._trouble(error)


class Guarded(Translated):
    """As `Translated`; and no other thread forks meanwhile."""

    __slots__ = ()

    def __enter__(self) -> None:
        forks.operation().__enter__()

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        try:
            if error is not None:
                self._trouble(error)
        finally:
            forks.operation().__exit__()
