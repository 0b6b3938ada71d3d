"""Where neither ScaNN nor faiss is installed, everything works through exact search, and the index says so."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

SCRIPT = """
import sys
sys.modules["scann"] = sys.modules["faiss"] = None  # what absent packages look like to the import system
import numpy as np
import ragvec
rng = np.random.default_rng(0)
rows = rng.normal(size=(9000, 8)).astype(np.float32)
with ragvec.Store(sys.argv[1]) as store:
    index = store.create_bucket("bucket", exist_ok=True).create_index("index", dimension=8, exist_ok=True)
    index.put([str(n) for n in range(9000)], rows)
    index.optimize()
    stats = index.stats()
    assert (stats.backend, stats.segments, stats.exact_rows) == ("exact", (), 9000), stats
    nearest = np.argsort(1 - rows @ rows[7] / np.linalg.norm(rows, axis=1))[:5]
    assert index.query(rows[7], k=5).keys == [str(n) for n in nearest]
"""


def test_search_is_exact_and_says_so(tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, "-c", SCRIPT, str(tmp_path / "store")], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_a_store_with_segments_is_read_without_a_library(tmp_path: Path) -> None:
    build = SCRIPT.replace('sys.modules["scann"] = sys.modules["faiss"] = None', "").partition("    stats =")[0]
    assert subprocess.run([sys.executable, "-c", build, str(tmp_path / "store")]).returncode == 0
    read = SCRIPT.replace("    index.put([str(n) for n in range(9000)], rows)\n", "")
    done = subprocess.run([sys.executable, "-c", read, str(tmp_path / "store")], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
