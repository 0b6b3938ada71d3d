"""`ragvec serve` as a real process, for the tests that speak to it over a socket."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ragvec.server.users import User

__all__ = ["ACCOUNT", "OWNER", "REGION", "Serving", "credentials_text", "serving"]

ACCOUNT = "123456789012"
REGION = "us-east-1"
OWNER = User(
    access_key="AKIDEXAMPLE0000000",
    secret_key="secret-of-the-owner-0123456789",
    account=ACCOUNT,
    name="owner",
    owner=True,
)
_PATIENCE = 60


@dataclass
class Serving:
    """A server that runs. `output` is what it printed after its first line, as far as it was read."""

    url: str
    port: int
    process: subprocess.Popen[str]
    owner: User
    store: Path
    credentials: Path
    log: Path
    users: Sequence[User] = ()
    output: list[str] = field(default_factory=list)

    @property
    def host(self) -> str:
        return "127.0.0.1"

    def errors(self) -> str:
        """What the server wrote to standard error so far."""
        return self.log.read_text(encoding="utf-8")

    def entries(self) -> list[dict[str, object]]:
        """The access log so far."""
        return [json.loads(line) for line in self.errors().splitlines() if line.startswith("{")]


@contextlib.contextmanager
def serving(
    store: str | Path,
    *,
    users: Sequence[User] = (OWNER,),
    dialects: str | Sequence[str] | None = None,
    workers: int = 1,
    flags: Sequence[str] = (),
    account: str = ACCOUNT,
    region: str = REGION,
    check_exit: bool = True,
) -> Iterator[Serving]:
    """A server over the store in folder `store`, made where there is none, for as long as the block runs.

    It has `users`, of whom the first owner is `.owner`; with none of them, give `--no-auth` in `flags`. Its credentials
    file and its standard error lie beside the store.
    """
    folder = Path(store)
    folder.parent.mkdir(parents=True, exist_ok=True)
    credentials, log = folder.with_name(f"{folder.name}.toml"), folder.with_name(f"{folder.name}.log")
    arguments = [sys.executable, "-m", "ragvec", "serve", "--store", str(folder), "--port", "0"]
    arguments += ["--account", account, "--region", region, "--workers", str(workers)]
    if users:
        credentials.write_text(credentials_text(users), encoding="utf-8")
        credentials.chmod(0o600)
        arguments += ["--credentials", str(credentials)]
    if dialects is not None:
        arguments += ["--dialects", dialects if isinstance(dialects, str) else ",".join(dialects)]
    with log.open("w", encoding="utf-8") as errors:
        process = subprocess.Popen(
            [*arguments, *flags],
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            env={**os.environ, "PYTHONUNBUFFERED": "1"},
        )
    assert process.stdout is not None
    alarm = threading.Timer(_PATIENCE, process.kill)
    alarm.start()
    try:
        first = process.stdout.readline()
        alarm.cancel()
        assert first.startswith("ragvec serve: http"), f"the server did not start: {first}{log.read_text()}"
        url = first.split()[-1]
        owner = next((user for user in users if user.owner), OWNER)
        server = Serving(url, int(url.rpartition(":")[2]), process, owner, folder, credentials, log, users)
        reader = threading.Thread(target=_read, args=(process.stdout, server.output), daemon=True)
        reader.start()
        yield server
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
        code = process.wait(timeout=_PATIENCE)
        reader.join(timeout=_PATIENCE)
        if check_exit:
            assert code == 0, f"the server ended with {code}: {server.errors()[-4000:]}"
    finally:
        alarm.cancel()
        if process.poll() is None:
            process.kill()
        process.wait()
        process.stdout.close()


def credentials_text(users: Sequence[User]) -> str:
    """These users as a credentials file."""
    lines = []
    for user in users:
        lines.append("[[users]]")
        for name in ("name", "account", "access_key", "secret_key", "session_token"):
            value = getattr(user, name)
            if value is not None:
                lines.append(f"{name} = {json.dumps(value)}")
        lines.append(f"owner = {str(user.owner).lower()}")
        if user.expires is not None:
            lines.append(f"expires = {user.expires}")
        lines.append(f"policies = {json.dumps(list(user.policies))}")
    return "\n".join([*lines, ""])


def _read(stream: object, lines: list[str]) -> None:
    with contextlib.suppress(ValueError):  # closed at the end of the test
        lines.extend(iter(stream.readline, ""))  # type: ignore[attr-defined]
