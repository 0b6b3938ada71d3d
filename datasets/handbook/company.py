# mypy: disable-error-code="import-untyped"
"""What every built page bears."""

from __future__ import annotations

from typing import Any

COMPANY = "Tidewell Instruments Ltd."

Record = dict[str, Any]


def footer_text(attributes: Record) -> str:
    return f"{COMPANY}  |  {attributes['title']}  |  version {attributes['version']}, {attributes['last_updated_at']}"
