"""ScaNN's native searcher, loaded without the rest of its package and without its log lines.

`import scann` also imports TensorFlow wherever that is installed (seconds, log lines, and a failure when the versions
do not fit), while building and searching need only one extension module. That module logs through Abseil, which writes
to stderr from C++ and is configured only by a C++ function; it is called here by its exported symbol, so that no file
descriptor of the process has to be moved.
"""

from __future__ import annotations

import ctypes
import importlib
import importlib.machinery
import importlib.util
import logging
import mmap
import re
import sys
import threading
from pathlib import Path
from types import ModuleType

__all__ = ["library"]

_log = logging.getLogger("ragvec.ann")
_lock = threading.Lock()
_module: ModuleType | None = None
_NAME = "scann_pybind"
_SYMBOL = re.compile(rb"_ZN4absl(?:\d+lts_\d+)?14SetMinLogLevelENS\d*_18LogSeverityAtLeastE")
_ERROR = 2
"""absl::LogSeverityAtLeast::kError: what a call cannot report by an exception is still seen."""


def library() -> ModuleType:
    """The module with `ScannNumpy`. Raises ImportError when ScaNN is absent or does not fit this machine."""
    global _module
    with _lock:
        if _module is None:
            module = sys.modules.get(_NAME) or _load()
            if module.__file__ is not None:
                _hush(Path(module.__file__))
            _module = module
        return _module


def _load() -> ModuleType:
    path = _find()
    if path is None:  # laid out otherwise than the releases known here
        importlib.import_module("scann.scann_ops.py.scann_ops_pybind")
        return sys.modules[_NAME]
    loader = importlib.machinery.ExtensionFileLoader(_NAME, str(path))
    spec = importlib.util.spec_from_file_location(_NAME, path, loader=loader)
    if spec is None:
        raise ImportError(f"ScaNN's extension module `{path}` cannot be loaded", name=_NAME, path=str(path))
    module = importlib.util.module_from_spec(spec)
    loader.exec_module(module)
    # The name under which ScaNN's own Python files import it: types registered twice would clash.
    sys.modules[_NAME] = module
    return module


def _find() -> Path | None:
    package = importlib.util.find_spec("scann")
    if package is None:
        raise ModuleNotFoundError("ScaNN is not installed: pip install scann", name="scann")
    for root in package.submodule_search_locations or ():
        for suffix in importlib.machinery.EXTENSION_SUFFIXES:
            path = Path(root) / "scann_ops" / "cc" / "python" / f"{_NAME}{suffix}"
            if path.is_file():
                return path
    return None


def _hush(path: Path) -> None:
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        symbol = _SYMBOL.search(content)
        name = None if symbol is None else symbol.group().decode("ascii")
    if name is None:
        _log.info("This ScaNN gives no way to silence its log lines on stderr")
        return
    set_minimum = getattr(ctypes.CDLL(str(path)), name)
    set_minimum.argtypes = [ctypes.c_int]
    set_minimum.restype = None
    set_minimum(_ERROR)
