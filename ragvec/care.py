"""Looking after a store in a folder: calls that work on its path, whether it can be opened or not."""

from __future__ import annotations

__all__: list[str] = []
