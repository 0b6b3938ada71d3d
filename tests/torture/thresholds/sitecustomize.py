"""In a worker process started by the workload: the same small thresholds as in the process that started it."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[3]))

from tests.torture.workload_small import shrink

shrink()
