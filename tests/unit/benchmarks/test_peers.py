from __future__ import annotations

import importlib.metadata

from benchmarks.peers import requirements


def test_peers_are_those_of_the_extra_with_their_conditions(monkeypatch):
    lines = [
        "numpy>=1.24",
        "hnswlib>=0.8; extra == 'bench'",
        "pysqlite3-binary>=0.5; (sys_platform == 'linux' and platform_machine == 'x86_64') and extra == 'bench'",
        'milvus-lite>=2.4; sys_platform != "win32" and extra == "bench"',
        "mypy>=1.11; extra == 'dev'",
    ]
    monkeypatch.setattr(importlib.metadata, "requires", lambda name: lines)
    assert requirements() == [
        "hnswlib>=0.8",
        "pysqlite3-binary>=0.5; sys_platform == 'linux' and platform_machine == 'x86_64'",
        'milvus-lite>=2.4; sys_platform != "win32"',
    ]
