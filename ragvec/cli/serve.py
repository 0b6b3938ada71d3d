"""`ragvec serve`: a store as the services that the vendors' own clients speak to."""

from __future__ import annotations

import argparse
import ipaddress
import os
import re
import secrets
import socket
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from ragvec.cli.arguments import Commands, command, count
from ragvec.cli.opening import writable_store
from ragvec.cli.output import Output
from ragvec.cli.problems import CommandError, UsageError

if TYPE_CHECKING:
    from ragvec.server.settings import Settings
    from ragvec.server.snippets import Place
    from ragvec.server.users import User

__all__ = ["add"]

ACCOUNT = "000000000000"
REGION = "us-east-1"
PORT = 9000
DIALECTS = ("s3vectors", "kendra", "oss", "cos", "tos")


def add(commands: Commands[argparse.ArgumentParser], common: argparse.ArgumentParser) -> None:
    """Add the command."""
    parser = command(
        commands,
        "serve",
        run=_run,
        summary="answer the vendors' own clients over HTTP",
        description=(
            "Answer Amazon S3 Vectors, Amazon Kendra, Alibaba Cloud OSS Vectors, Tencent Cloud COS Vectors and "
            "Volcengine TOS Vectors clients from the store, until SIGTERM or SIGINT. Code to paste for each client is "
            "printed at the start.\n\n"
            "Without --credentials there is one user, the owner: its keys are RAGVEC_ACCESS_KEY and "
            "RAGVEC_SECRET_KEY, or new ones that hold for this run."
        ),
        examples=(
            "ragvec serve --store notes\n"
            "ragvec serve --credentials users.toml --workers 4\n"
            "ragvec serve --no-auth --dialects s3vectors --port 0"
        ),
        parents=(common,),
    )
    parser.add_argument("--host", metavar="ADDRESS", default="127.0.0.1", help="where to listen; default: 127.0.0.1")
    parser.add_argument("--port", metavar="N", type=_port, default=PORT, help=f"default: {PORT}; 0: any that is free")
    parser.add_argument("--credentials", metavar="FILE", help="TOML file of the users; read again on SIGHUP")
    parser.add_argument("--no-auth", action="store_true", help="everybody is the owner; on a loopback address only")
    parser.add_argument(
        "--dialects", metavar="NAMES", type=_dialects, default=DIALECTS, help=f"of {','.join(DIALECTS)}; default: all"
    )
    parser.add_argument("--account", metavar="ID", type=_account, help="whose the store is; default: that of the owner")
    parser.add_argument("--region", metavar="NAME", default=REGION, help=f"in resource names; default: {REGION}")
    parser.add_argument("--workers", metavar="N", type=count, default=1, help="processes; default: 1")
    parser.add_argument("--threads", metavar="N", type=count, help="operations at once in a worker; default: 8")
    parser.add_argument("--tls-cert", metavar="FILE", help="certificate chain, PEM; with --tls-key")
    parser.add_argument("--tls-key", metavar="FILE", help="its private key, PEM")
    parser.add_argument("--access-log", metavar="FILE", default="-", help='default: "-", standard error; "none"')
    parser.add_argument(
        "--folder",
        metavar="BUCKET=DIR",
        action="append",
        type=_folder,
        default=[],
        help="Kendra: the folder that stands for an S3 bucket in requests; may be repeated",
    )


def _run(arguments: argparse.Namespace, output: Output) -> int:
    from ragvec.extras import require

    for package in ("starlette", "uvicorn", "httptools"):
        require(package, extra="server", purpose="`ragvec serve`")
    from ragvec.server.snippets import Place

    settings = _settings(arguments)
    with writable_store(arguments.store):
        pass  # made, brought to this version's format, or refused, before anything listens
    listener = _listener(arguments.host, arguments.port)
    place = Place(
        host=_reachable(arguments.host),
        port=listener.getsockname()[1],
        region=settings.region,
        secure=bool(settings.tls_cert),
    )
    with tempfile.TemporaryDirectory(prefix="ragvec-serve-") as figures:
        return _serve(arguments, output, _with_figures(settings, figures), listener, place)


def _with_figures(settings: Settings, folder: str) -> Settings:
    import msgspec

    return msgspec.structs.replace(settings, figures=folder)


def _serve(
    arguments: argparse.Namespace, output: Output, settings: Settings, listener: socket.socket, place: Place
) -> int:
    def announce() -> None:
        _announce(settings, place, output)

    def users() -> tuple[User, ...]:
        return _users_of(arguments.credentials)

    read_again = users if arguments.credentials else None
    if settings.workers > 1:
        from ragvec.server.workers import Workers

        return Workers(settings, listener, say=_say, users=read_again).run(started=announce)
    _serve_here(settings, listener, announce, read_again)
    return 0


def _serve_here(
    settings: Settings,
    listener: socket.socket,
    announce: Callable[[], None],
    users: Callable[[], tuple[User, ...]] | None,
) -> None:
    from ragvec.server.run import Running, serve

    def started(running: Running) -> None:
        if users is not None:
            _reload_on_signal(running, users)
        announce()

    serve(settings, listener=listener, started=started)


def _reload_on_signal(running: object, users: Callable[[], tuple[User, ...]]) -> None:
    """Read the users again on SIGHUP, where there is such a signal."""
    import signal

    from ragvec.errors import RagvecError
    from ragvec.server.run import Running

    assert isinstance(running, Running)

    def reload(*_: object) -> None:
        try:
            found = users()
            running.replace_users(found)
        except RagvecError as error:
            _say(f"the users stay as they were: {error.message}")
        else:
            _say(f"read the credentials file again: {len(found)} users")

    if hasattr(signal, "SIGHUP"):
        signal.signal(signal.SIGHUP, reload)


def _settings(arguments: argparse.Namespace) -> Settings:
    """What the arguments say, complete but for the folder of the counts.

    Raises:
        UsageError: they do not go together. InvalidRequest: the credentials file is not one.
    """
    from ragvec.server.settings import ServerLimits, Settings

    if bool(arguments.tls_cert) != bool(arguments.tls_key):
        raise UsageError("--tls-cert and --tls-key go together")
    for option in ("tls_cert", "tls_key"):
        path = getattr(arguments, option)
        if path and not Path(path).is_file():
            raise UsageError(f"--{option.replace('_', '-')}: there is no file {path}")
    if arguments.no_auth and arguments.credentials:
        raise UsageError("--no-auth asks for no credentials: leave out one of --no-auth and --credentials")
    if arguments.no_auth and not _is_loopback(arguments.host):
        raise UsageError(
            f"--no-auth lets everybody in, and listens on loopback addresses only; got --host {arguments.host}"
        )
    if arguments.access_log not in ("-", "none"):
        try:
            os.close(os.open(arguments.access_log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o640))
        except OSError as error:
            raise CommandError(f"cannot write to the access log {arguments.access_log}: {error.strerror}") from None
    if arguments.workers > 1 and sys.platform == "win32":
        raise UsageError("--workers: several workers need a system other than Windows")
    users = _users_of(arguments.credentials) if arguments.credentials else (_lone_owner(arguments.account),)
    return Settings(
        store=str(Path(arguments.store).absolute()),
        account=arguments.account or next((user.account for user in users if user.owner), users[0].account),
        region=arguments.region,
        dialects=tuple(arguments.dialects),
        users=users,
        anonymous=arguments.no_auth,
        workers=arguments.workers,
        access_log={"none": "", "-": "-"}.get(arguments.access_log, str(Path(arguments.access_log).absolute())),
        tls_cert=arguments.tls_cert or "",
        tls_key=arguments.tls_key or "",
        kendra=dict(arguments.folder),
        limits=ServerLimits(threads=arguments.threads) if arguments.threads else ServerLimits(),
    )


def _users_of(path: str) -> tuple[User, ...]:
    from ragvec.server.credentials import read_credentials, readable_by_others

    users = read_credentials(path)
    if readable_by_others(path):
        _say(f"warning: {path} holds secret keys and others may read it; `chmod 600 {path}` makes it yours alone")
    return users


def _lone_owner(account: str | None) -> User:
    """The owner from the environment, or with keys made for this run."""
    from ragvec.server.users import User

    key, secret = os.environ.get("RAGVEC_ACCESS_KEY"), os.environ.get("RAGVEC_SECRET_KEY")
    if bool(key) != bool(secret):
        raise UsageError("RAGVEC_ACCESS_KEY and RAGVEC_SECRET_KEY go together: set both or none")
    return User(
        access_key=key or f"RAGVEC{secrets.token_hex(7).upper()}",
        secret_key=secret or secrets.token_urlsafe(30),
        account=account or ACCOUNT,
        name="owner",
        owner=True,
    )


def _listener(host: str, port: int) -> socket.socket:
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        listener = socket.socket(family, socket.SOCK_STREAM)
        if sys.platform != "win32":  # there it would let several programs have the port
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(2048)
    except OSError as error:
        raise CommandError(f"cannot listen on {host} port {port}: {error.strerror}") from None
    return listener


def _announce(settings: Settings, place: Place, output: Output) -> None:
    """Tell where the server is, on the first line, and how clients come to it."""
    from ragvec.server.snippets import snippets

    user = next((user for user in settings.users if user.owner), settings.users[0])
    found = snippets(place, user, dialects=settings.dialects)
    if output.json:
        import msgspec

        _print(msgspec.json.encode({"url": place.url, "region": place.region, "snippets": found}).decode())
        return
    lines = [f"ragvec serve: {place.url}", f"store {settings.store}, account {settings.account}, region {place.region}"]
    if settings.anonymous:
        lines.append("Nothing is checked: every request is the owner's (--no-auth).")
    for snippet in found:
        lines += ["", f"# {snippet.title}", snippet.code.rstrip()]
    _print("\n".join(lines))


def _print(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def _say(text: str) -> None:
    sys.stderr.write(f"ragvec serve: {text}\n")
    sys.stderr.flush()


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _reachable(host: str) -> str:
    """The address that a client on this machine takes for one that listens on every interface."""
    return {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)


def _port(text: str) -> int:
    if not (text.isascii() and text.isdigit() and int(text) <= 65_535):
        raise argparse.ArgumentTypeError(f"expected a number from 0 to 65535; got {text!r}")
    return int(text)


def _account(text: str) -> str:
    if not re.fullmatch("[0-9]{5,16}", text, re.ASCII):
        raise argparse.ArgumentTypeError(f"expected 5 to 16 digits, such as 123456789012; got {text!r}")
    return text


def _dialects(text: str) -> tuple[str, ...]:
    names = tuple(dict.fromkeys(name.strip() for name in text.split(",")))
    for name in names:
        if name not in DIALECTS:
            raise argparse.ArgumentTypeError(f"expected names of {', '.join(DIALECTS)}; got {name!r}")
    return names


def _folder(text: str) -> tuple[str, str]:
    bucket, equals, folder = text.partition("=")
    if not (bucket and equals and folder):
        raise argparse.ArgumentTypeError(f"expected BUCKET=DIR; got {text!r}")
    return bucket, folder
