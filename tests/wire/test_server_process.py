"""`ragvec serve` as a process: what it says of itself, its limits, its workers, and how it starts, reloads and ends."""

from __future__ import annotations

import concurrent.futures
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import boto3
import botocore.exceptions
import pytest
from botocore.config import Config

from ragvec.server.users import User
from tests.wire.serving import ACCOUNT, OWNER, REGION, Serving, credentials_text, serving

INDEX = {"vectorBucketName": "bucket", "indexName": "index"}
TWO = pytest.mark.skipif(sys.platform == "win32", reason="several workers need POSIX")


def client(server: Serving, user: User = OWNER, **options: Any) -> Any:
    return boto3.client(
        "s3vectors",
        endpoint_url=server.url,
        region_name=REGION,
        aws_access_key_id=user.access_key,
        aws_secret_access_key=user.secret_key,
        config=Config(retries={"total_max_attempts": 1}, **options),
    )


def make_index(server: Serving) -> Any:
    made = client(server)
    made.create_vector_bucket(vectorBucketName="bucket")
    made.create_index(**INDEX, dataType="float32", dimension=4, distanceMetric="cosine")
    return made


def vector(key: str, first: float = 1.0) -> dict[str, Any]:
    return {"key": key, "data": {"float32": [first, 2.0, 3.0, 4.0]}}


def get(server: Serving, path: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(server.url + path, timeout=30) as reply:
            return reply.status, reply.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


def until(condition: Callable[[], Any], *, seconds: float = 60) -> Any:
    """What `condition` gives once that is true."""
    deadline = time.monotonic() + seconds
    while True:
        found = condition()
        if found:
            return found
        assert time.monotonic() < deadline, "it did not come true"
        time.sleep(0.02)


def figures(server: Serving) -> dict[str, float]:
    """The counts, by name with labels."""
    status, text = get(server, "/metrics")
    assert status == 200
    lines = [line.rpartition(" ") for line in text.splitlines() if not line.startswith("#")]
    return {name: float(value) for name, _, value in lines}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    with serving(tmp_path_factory.mktemp("served") / "store", dialects="s3vectors") as running:
        make_index(running)
        yield running


def test_it_is_healthy_and_ready(server: Serving) -> None:
    assert get(server, "/health") == (200, '{"status":"ok"}')
    assert get(server, "/ready") == (200, '{"status":"ok"}')


def test_each_request_is_a_line_of_the_access_log(server: Serving) -> None:
    reply = client(server).put_vectors(**INDEX, vectors=[vector("logged")])
    wanted = reply["ResponseMetadata"]["RequestId"]
    (entry,) = until(lambda: [entry for entry in server.entries() if entry["request_id"] == wanted])
    assert entry["microseconds"] > 0
    assert entry["received"] > 50
    assert {name: entry[name] for name in ("client", "method", "path", "status", "dialect", "operation", "user")} == {
        "client": "127.0.0.1",
        "method": "POST",
        "path": "/PutVectors",
        "status": 200,
        "dialect": "s3vectors",
        "operation": "PutVectors",
        "user": "owner",
    }


def test_the_log_names_the_error_and_never_a_secret(server: Serving) -> None:
    with pytest.raises(botocore.exceptions.ClientError) as caught:
        client(server).get_index(vectorBucketName="bucket", indexName="absent")
    wanted = caught.value.response["ResponseMetadata"]["RequestId"]
    (entry,) = until(lambda: [entry for entry in server.entries() if entry["request_id"] == wanted])
    assert (entry["status"], entry["error"]) == (404, "IndexNotFound")
    assert OWNER.secret_key not in server.errors()


def test_a_body_beyond_the_limit_is_refused_in_the_form_of_the_service(server: Serving) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)
    connection.putrequest("POST", "/PutVectors")
    connection.putheader("Content-Length", str((20 << 20) + 1))
    connection.endheaders()
    reply = connection.getresponse()
    document = json.loads(reply.read())
    connection.close()
    assert reply.status in (400, 413)
    assert reply.getheader("x-amzn-errortype")
    assert document["message"]


def test_a_body_in_chunks_is_counted(server: Serving) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
    chunk = b"x" * (1 << 20)
    connection.request("POST", "/PutVectors", body=(chunk for _ in range(22)), encode_chunked=True)
    reply = connection.getresponse()
    reply.read()
    connection.close()
    assert reply.status in (400, 413)


def exchange(server: Serving, raw: bytes) -> bytes:
    """What comes back for these bytes until the server closes the connection."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=20) as connection:
        connection.sendall(raw)
        received = b""
        while part := connection.recv(65536):
            received += part
        return received


@pytest.mark.parametrize(
    ("raw", "status"),
    [
        (b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"y" * 80_000 + b"\r\n\r\n", b"431"),
        (b"GET /" + b"y" * 80_000 + b" HTTP/1.1\r\nHost: a\r\n\r\n", b"431"),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", b"400"),
        (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n", b"400"),
        (b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", b"400"),
        (b"GET http://a HTTP/1.1\r\nHost: a\r\n\r\n", b"400"),
    ],
    ids=["header", "target", "tls", "length", "smuggling", "no-path"],
)
def test_what_is_not_http_is_refused_and_the_connection_closed(server: Serving, raw: bytes, status: bytes) -> None:
    assert exchange(server, raw).split(b" ")[1] == status


def test_an_unknown_request_is_not_found_in_some_form(server: Serving) -> None:
    status, _ = get(server, "/no/such/thing")
    assert status in (400, 403, 404)


def test_counts_are_told_for_prometheus(server: Serving) -> None:
    before = figures(server)
    client(server).get_index(**INDEX)
    name = 'ragvec_http_requests_total{service="s3vectors",operation="GetIndex",status="200"}'
    assert figures(server)[name] == before.get(name, 0) + 1
    labels = 'service="s3vectors",operation="GetIndex"'
    after = figures(server)
    assert (
        after[f'ragvec_http_request_seconds_bucket{{{labels},le="+Inf"}}']
        == after[f"ragvec_http_request_seconds_count{{{labels}}}"]
    )


@TWO
def test_counts_are_those_of_all_workers_together(tmp_path: Path) -> None:
    with serving(tmp_path / "store", workers=3, dialects="s3vectors") as server:
        make_index(server)
        for _ in range(9):
            client(server).get_index(**INDEX)  # a new connection each
        counted = figures(server)
        assert counted["ragvec_http_workers"] == 3
        assert counted['ragvec_http_requests_total{service="s3vectors",operation="GetIndex",status="200"}'] == 9


def test_requests_that_are_under_way_are_answered_before_it_ends(tmp_path: Path) -> None:
    with serving(tmp_path / "store", dialects="s3vectors", workers=1 if sys.platform == "win32" else 2) as server:
        make_index(server)
        done: list[int] = []
        failed: list[str] = []

        def write(number: int) -> None:
            mine = client(server)
            for step in range(10_000):
                try:
                    mine.put_vectors(**INDEX, vectors=[vector(f"{number}-{step}", step + 1)])
                except (botocore.exceptions.ConnectionError, botocore.exceptions.HTTPClientError):
                    return  # refused, or closed between two requests
                except botocore.exceptions.ClientError as error:
                    failed.append(str(error))
                    return
                done.append(1)

        threads = [threading.Thread(target=write, args=(number,)) for number in range(4)]
        for thread in threads:
            thread.start()
        until(lambda: len(done) > 20)
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(timeout=60) == 0
        for thread in threads:
            thread.join(timeout=60)
        assert failed == []
        acknowledged = len(done)
    import ragvec

    with ragvec.Store(tmp_path / "store") as store:
        count = len(store.bucket("bucket").index("index"))
    # A reply that was on its way when the connection ended may be of a write that was done.
    assert acknowledged <= count <= acknowledged + 4


@TWO
def test_a_worker_that_is_killed_loses_no_acknowledged_write_and_the_others_go_on(tmp_path: Path) -> None:
    psutil = pytest.importorskip("psutil")
    with serving(tmp_path / "store", dialects="s3vectors", workers=2) as server:
        make_index(server)
        acknowledged: list[str] = []
        stop = threading.Event()

        def write(number: int) -> None:
            step = 0
            while not stop.is_set():
                key, step = f"{number}-{step}", step + 1
                try:
                    client(server).put_vectors(**INDEX, vectors=[vector(key, step)])
                except botocore.exceptions.ConnectionError:
                    continue  # its worker was killed
                except botocore.exceptions.HTTPClientError:
                    continue
                acknowledged.append(key)

        with concurrent.futures.ThreadPoolExecutor(3) as pool:
            writers = [pool.submit(write, number) for number in range(3)]
            try:
                for kill in range(3):
                    seen = len(acknowledged)
                    until(lambda seen=seen: len(acknowledged) > seen + 10)  # type: ignore[misc]
                    workers = [
                        child
                        for child in psutil.Process(server.process.pid).children()
                        if "ragvec.server.worker" in child.cmdline()
                    ]
                    workers[kill % len(workers)].kill()
                    until(lambda kill=kill: server.errors().count("(signal 9)") == kill + 1)  # type: ignore[misc]
                    until(lambda: figures(server)["ragvec_http_workers"] == 2)
            finally:
                stop.set()
            for writer in writers:
                writer.result(timeout=60)
        kept = {
            item["key"]
            for page in client(server).get_paginator("list_vectors").paginate(**INDEX)
            for item in page["vectors"]
        }
        assert set(acknowledged) <= kept
        assert len(acknowledged) > 30


def test_users_are_read_again_on_a_signal(tmp_path: Path) -> None:
    if not hasattr(signal, "SIGHUP"):
        pytest.skip("there is no SIGHUP here")
    other = User(access_key="AKIDOTHER000000000", secret_key="another-secret-0", account=ACCOUNT, name="o", owner=True)
    for workers in (1, 2):
        with serving(tmp_path / f"store-{workers}", dialects="s3vectors", workers=workers) as server:
            with pytest.raises(botocore.exceptions.ClientError):
                client(server, other).list_vector_buckets()
            server.credentials.write_text("nonsense = 1")
            server.process.send_signal(signal.SIGHUP)
            until(lambda server=server: "the users stay as they were" in server.errors())  # type: ignore[misc]
            client(server).list_vector_buckets()
            server.credentials.write_text(credentials_text([OWNER, other]))
            server.process.send_signal(signal.SIGHUP)
            until(lambda server=server: "2 users" in server.errors())  # type: ignore[misc]

            def allowed(server: Serving = server) -> bool:
                try:
                    client(server, other).list_vector_buckets()
                except botocore.exceptions.ClientError:
                    return False
                return True

            until(allowed)


def refused(*flags: str, store: Path, **environment: str) -> str:
    """What is said when it does not start."""
    done = subprocess.run(
        [sys.executable, "-m", "ragvec", "serve", "--store", str(store), "--port", "0", *flags],
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, **environment},
        check=False,
    )
    assert done.returncode in (1, 2), done.stderr
    assert done.stdout == ""
    return done.stderr


def test_what_cannot_be_served_is_said(tmp_path: Path) -> None:
    store = tmp_path / "store"
    assert "loopback" in refused("--no-auth", "--host", "0.0.0.0", store=store)
    assert "go together" in refused("--tls-cert", "a.pem", store=store)
    assert "cannot be read" in refused("--credentials", str(tmp_path / "none.toml"), store=store)
    assert "expected names of" in refused("--dialects", "s4", store=store)
    assert "set both or none" in refused(store=store, RAGVEC_ACCESS_KEY="KEY")
    assert not store.exists()
    (tmp_path / "file.txt").write_text("not a store")
    assert "not a ragvec store" in refused(store=tmp_path).lower()


def test_a_port_that_is_taken_is_named(tmp_path: Path, server: Serving) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "ragvec", "serve", "--store", str(tmp_path / "s"), "--port", str(server.port)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 1
    assert f"cannot listen on 127.0.0.1 port {server.port}" in done.stderr


def test_without_signatures_everybody_is_the_owner(tmp_path: Path) -> None:
    with serving(tmp_path / "store", users=(), flags=("--no-auth",), dialects="s3vectors") as server:
        make_index(server)
        request = urllib.request.Request(f"{server.url}/ListVectorBuckets", data=b"{}", method="POST")
        with urllib.request.urlopen(request, timeout=30) as reply:
            assert [bucket["vectorBucketName"] for bucket in json.loads(reply.read())["vectorBuckets"]] == ["bucket"]


def test_one_who_may_read_the_credentials_is_warned_of(tmp_path: Path) -> None:
    if sys.platform == "win32":
        pytest.skip("files have no such modes")
    with serving(tmp_path / "store", dialects="s3vectors") as server:
        assert "chmod 600" not in server.errors()
        server.credentials.chmod(0o644)
        server.process.send_signal(signal.SIGHUP)
        until(lambda: "chmod 600" in server.errors())


@pytest.mark.parametrize("workers", [1, pytest.param(2, marks=TWO)])
def test_tls_is_spoken_with_a_certificate(tmp_path: Path, workers: int) -> None:
    chain, key = certificate(tmp_path)
    flags = ("--tls-cert", str(chain), "--tls-key", str(key))
    with serving(tmp_path / "store", dialects="s3vectors", workers=workers, flags=flags) as server:
        assert server.url.startswith("https://")
        with pytest.raises(botocore.exceptions.SSLError):
            client(server).list_vector_buckets()
        trusting = boto3.client(
            "s3vectors",
            endpoint_url=server.url,
            region_name=REGION,
            aws_access_key_id=OWNER.access_key,
            aws_secret_access_key=OWNER.secret_key,
            verify=str(chain),
        )
        assert trusting.list_vector_buckets()["vectorBuckets"] == []


def certificate(folder: Path) -> tuple[Path, Path]:
    """A certificate for 127.0.0.1, signed by itself, and its key."""
    import datetime
    import ipaddress

    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.datetime.now(datetime.timezone.utc)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    chain, secret = folder / "chain.pem", folder / "key.pem"
    chain.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    secret.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return chain, secret


@TWO
def test_workers_do_not_outlive_a_first_process_that_is_killed(tmp_path: Path) -> None:
    psutil = pytest.importorskip("psutil")
    with serving(tmp_path / "store", dialects="s3vectors", workers=2, check_exit=False) as server:
        workers = psutil.Process(server.process.pid).children()
        server.process.kill()
        _, alive = psutil.wait_procs(workers, timeout=60)
        assert alive == []


def test_a_head_that_does_not_end_is_not_waited_for(tmp_path: Path) -> None:
    """Nor is a connection on which nothing is said; others are answered meanwhile."""
    with serving(tmp_path / "store", dialects="s3vectors") as server:
        late = [socket.create_connection(("127.0.0.1", server.port), timeout=60) for _ in range(2)]
        late[1].sendall(b"GET / HTTP/1.1\r\nHost: a\r\nX: ")
        assert get(server, "/health")[0] == 200
        for connection in late:
            assert connection.recv(4096)[9:12] in (b"408", b"")
            connection.close()
