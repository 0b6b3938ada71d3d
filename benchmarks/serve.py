"""`ragvec serve` under load, with boto3's requests and their signatures verified, beside moto's server.

    python -m benchmarks.serve [--workers 2] [--seconds 10] [--store DIR] [--rows N] [--no-moto]

117,659 × 384 (the collection `real` with its queries as rows too), ten nearest with metadata and distances. Requests
are signed by botocore right before and sent by `benchmarks.load` from another process over keep-alive connections; the
server, the generator and nothing else share this machine. moto 5 answers no QueryVectors: it is compared by the
operations that both have, on an index of 1,000 vectors, in the same run; it closes the connection after each reply.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.data import Collection, cache_folder, collection
from benchmarks.load import write_requests

KEY, SECRET, ACCOUNT, REGION = "RAGVECBENCHMARK", "secret-of-the-benchmark", "123456789012", "us-east-1"
BUCKET, INDEX, SMALL, WRITTEN = "bench", "rows", "small", "written"
REQUESTS = 1500
BATCH = 500


def store_folder(data: Collection, *, rows: int | None) -> Path:
    """The store with the collection, built once and kept in the cache folder."""
    import ragvec

    name = f"served-{data.name}-{rows or 'all'}"
    folder = cache_folder() / name
    if folder.is_dir():
        return folder
    building = folder.with_name(f".{name}.{os.getpid()}")
    building.mkdir(parents=True)
    vectors = np.concatenate([np.asarray(data.rows), np.asarray(data.queries)])[:rows]
    metadata = (data.metadata(0, len(data)) + data.metadata(0, len(data.queries)))[: len(vectors)]
    with ragvec.Store(building / "store") as store:
        index = store.create_bucket(BUCKET).create_index(INDEX, dimension=data.dimension)
        for start in range(0, len(vectors), 20_000):
            part = slice(start, start + 20_000)
            keys = [f"{row:08d}" for row in range(start, min(start + 20_000, len(vectors)))]
            index.put(keys, vectors[part], metadata[part])
        index.optimize()
    building.rename(folder)
    return folder


class Signer:
    """Requests as boto3 sends them, signed now."""

    def __init__(self, url: str) -> None:
        import botocore.session

        session = botocore.session.get_session()
        session.set_credentials(KEY, SECRET)
        self.client = session.create_client("s3vectors", region_name=REGION, endpoint_url=url)
        self._last = b""
        self.client.meta.events.register("before-send.s3vectors.*", self._keep)

    def _keep(self, request: Any, **_: Any) -> Any:
        from botocore.awsrequest import AWSResponse

        path = "/" + request.url.split("/", 3)[3]
        host = request.url.split("/", 3)[2]
        lines = [f"{request.method} {path} HTTP/1.1", f"Host: {host}", "Accept-Encoding: identity"]
        for name, value in request.headers.items():
            lines.append(f"{name}: {value.decode() if isinstance(value, bytes) else value}")
        body = request.body or b""
        self._last = "\r\n".join([*lines, "", ""]).encode() + body
        return AWSResponse(request.url, 200, {"content-type": "application/json"}, _Nothing())

    def request(self, method: str, **arguments: Any) -> bytes:
        """The bytes of one request."""
        getattr(self.client, method)(**arguments)
        return self._last


class _Nothing:
    def stream(self, *_: object, **__: object) -> Iterator[bytes]:
        yield b"{}"

    def read(self, *_: object, **__: object) -> bytes:
        return b"{}"


@contextmanager
def our_server(store: Path, *, workers: int, flags: Sequence[str] = ()) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """`ragvec serve` over the store: its address and process."""
    command = [sys.executable, "-m", "ragvec", "serve", "--store", str(store), "--port", "0", "--account", ACCOUNT]
    command += ["--region", REGION, "--workers", str(workers), "--dialects", "s3vectors", "--access-log"]
    command += [str(store.with_name("access.log")), *flags]
    environment = {**os.environ, "RAGVEC_ACCESS_KEY": KEY, "RAGVEC_SECRET_KEY": SECRET}
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)
    assert process.stdout is not None
    try:
        yield process.stdout.readline().split()[-1], process
    finally:
        process.terminate()
        process.communicate(timeout=60)


@contextmanager
def moto_server() -> Iterator[str]:
    """moto's server: its address."""
    with tempfile.TemporaryFile() as log:
        command = [sys.executable, "-m", "moto.server", "-p", "5099"]
        process = subprocess.Popen(command, stdout=log, stderr=log)
        try:
            deadline = time.monotonic() + 60
            while True:
                try:
                    urllib.request.urlopen("http://127.0.0.1:5099/moto-api/data.json", timeout=5).close()
                    break
                except OSError:
                    if time.monotonic() > deadline:
                        raise
                    time.sleep(0.1)
            yield "http://127.0.0.1:5099"
        finally:
            process.terminate()
            process.wait(timeout=60)


def measured(
    url: str,
    requests: list[bytes],
    *,
    connections: int,
    seconds: float,
    rate: float | None = None,
    process: int | None = None,
) -> dict[str, Any]:
    """What `benchmarks.load` finds; with the id of the server's process also its `cpu`, in µs a request."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "requests"
        write_requests(file, requests)
        host, _, port = url.removeprefix("http://").partition(":")
        command = [sys.executable, "-m", "benchmarks.load", host, port, str(file)]
        command += ["--connections", str(connections), "--seconds", str(seconds)]
        command += ["--rate", str(rate)] if rate is not None else []
        before = _cpu(process)
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        spent = _cpu(process) - before
    found: dict[str, Any] = json.loads(done.stdout)
    found["cpu"] = spent * 1e6 / max(found["requests"], 1)
    return found


def _cpu(process: int | None) -> float:
    """Processor time of a process and its children so far, in seconds; 0 for none."""
    if process is None:
        return 0.0
    import psutil

    server = psutil.Process(process)
    times = [part.cpu_times() for part in (server, *server.children(recursive=True))]
    return sum(part.user + part.system for part in times)


def query_requests(url: str, data: Collection) -> list[bytes]:
    """Queries near rows, at a cosine of about 0.93 to one, as a paraphrase is."""
    random = np.random.default_rng(0)
    rows = np.asarray(data.rows[np.sort(random.choice(len(data), size=REQUESTS, replace=False))])
    near = rows + random.normal(scale=0.02, size=rows.shape)
    near /= np.linalg.norm(near, axis=1, keepdims=True)
    signer = Signer(url)
    return [
        signer.request(
            "query_vectors",
            vectorBucketName=BUCKET,
            indexName=INDEX,
            topK=10,
            queryVector={"float32": row},
            returnMetadata=True,
            returnDistance=True,
        )
        for row in near.astype(np.float32).astype(float).tolist()
    ]


def put_requests(url: str, data: Collection, *, index: str, batches: int) -> list[bytes]:
    """Batches of 500 new vectors with metadata."""
    signer = Signer(url)
    metadata = data.metadata(0, BATCH)
    found = []
    for batch in range(batches):
        rows = np.asarray(data.rows[batch * BATCH % 20_000 :][:BATCH]).astype(float).tolist()
        vectors = [
            {"key": f"{batch:05d}-{row:03d}", "data": {"float32": vector}, "metadata": metadata[row]}
            for row, vector in enumerate(rows)
        ]
        found.append(signer.request("put_vectors", vectorBucketName=BUCKET, indexName=index, vectors=vectors))
    return found


def both_have(url: str, data: Collection) -> dict[str, list[bytes]]:
    """Requests of the operations that moto's server has too, on an index of a thousand vectors that is made here."""
    _send(url, lambda client: client.create_vector_bucket(vectorBucketName="shared"))
    index = {"vectorBucketName": "shared", "indexName": SMALL}
    _send(
        url,
        lambda client: client.create_index(
            **index, dataType="float32", dimension=data.dimension, distanceMetric="cosine"
        ),
    )
    metadata = data.metadata(0, 1000)
    for start in (0, 500):
        rows = np.asarray(data.rows[start : start + 500]).astype(float).tolist()
        vectors = [
            {"key": f"{start + row:08d}", "data": {"float32": vector}, "metadata": metadata[start + row]}
            for row, vector in enumerate(rows)
        ]
        _send(url, lambda client, vectors=vectors: client.put_vectors(**index, vectors=vectors))
    signer = Signer(url)
    random = np.random.default_rng(1)
    keys = [[f"{row:08d}" for row in random.choice(1000, size=10, replace=False)] for _ in range(200)]
    few = [{"key": "again", "data": {"float32": np.asarray(data.rows[0]).astype(float).tolist()}, "metadata": {}}]
    return {
        "GetIndex": [signer.request("get_index", **index)],
        "GetVectors, 10 with metadata": [
            signer.request("get_vectors", **index, keys=some, returnMetadata=True) for some in keys
        ],
        "GetVectors, 10 with data": [
            signer.request("get_vectors", **index, keys=some, returnData=True) for some in keys
        ],
        "ListVectors, 100": [signer.request("list_vectors", **index, maxResults=100, returnMetadata=True)],
        "PutVectors, 1 (ours durable)": [signer.request("put_vectors", **index, vectors=few)],
    }


def _send(url: str, call: Callable[[Any], object]) -> None:
    import boto3

    call(
        boto3.client(
            "s3vectors", endpoint_url=url, region_name=REGION, aws_access_key_id=KEY, aws_secret_access_key=SECRET
        )
    )


def _line(name: str, found: dict[str, Any], more: str = "") -> None:
    figures = "  ".join(f"{quantile} {found[quantile]:8.2f}" for quantile in ("p50", "p90", "p99", "p999"))
    print(f"{name:44} {found['rate']:9,.0f} /s   {figures} ms   {found['statuses']} {more}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--connections", type=int, default=8)
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--rows", type=int, help="only the first rows")
    parser.add_argument("--no-moto", action="store_true")
    parser.add_argument("--only-queries", action="store_true")
    parser.add_argument("--flags", default="", help="more arguments of `ragvec serve`, parted by blanks")
    options = parser.parse_args()
    data = collection("real")
    kept = store_folder(data, rows=options.rows)
    seconds, connections = options.seconds, options.connections
    flags = options.flags.split()
    with tempfile.TemporaryDirectory() as folder:
        # Not a copy of the store: in one, marks of change say nothing until something is written.
        with our_server(kept / "store", workers=options.workers, flags=flags) as (url, process):
            requests = query_requests(url, data)
            measured(url, requests, connections=connections, seconds=2)
            found = measured(url, requests, connections=connections, seconds=seconds, process=process.pid)
            _line(f"QueryVectors, {connections} connections", found, f"{found['cpu']:.0f} µs of the server each")
            half = measured(url, requests, connections=32, seconds=seconds, rate=found["rate"] / 2)
            _line("QueryVectors at half that rate", half)
        if options.only_queries:
            return
        with our_server(Path(folder) / "store", workers=options.workers, flags=flags) as (url, process):
            index = {"vectorBucketName": BUCKET, "indexName": WRITTEN}
            _send(url, lambda client: client.create_vector_bucket(vectorBucketName=BUCKET))
            _send(
                url,
                lambda client: client.create_index(
                    **index, dataType="float32", dimension=data.dimension, distanceMetric="cosine"
                ),
            )
            puts = put_requests(url, data, index=WRITTEN, batches=60)
            found = measured(url, puts, connections=4, seconds=seconds, process=process.pid)
            _line("PutVectors, 500 × 384, durable", found, f"{found['rate'] * BATCH:,.0f} vectors/s")
            ours = {
                name: measured(url, requests, connections=connections, seconds=seconds / 2)
                for name, requests in both_have(url, data).items()
            }
        if options.no_moto:
            for name, found in ours.items():
                _line(name, found)
            return
        with moto_server() as url:
            for name, requests in both_have(url, data).items():
                theirs = measured(url, requests, connections=connections, seconds=seconds / 2)
                _line(name, ours[name])
                _line(f"  moto's server: {name}", theirs, f"ratio {ours[name]['rate'] / theirs['rate']:.1f}")


if __name__ == "__main__":
    main()
