"""Requests that nobody honest sends, against `ragvec serve` with every dialect and two workers; a round is a request.

Wrong, stale, cut and moved signatures, wrong bodies rightly signed, rights that are not there, lengths that are not
true, random targets, random bytes, clients that stop in the middle. No reply may be a 5xx, none may be missing, what
is served afterwards is what was before, and the workers need no more memory than after the first tenth.
"""

from __future__ import annotations

import datetime
import json
import random
import socket
import threading
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote

import boto3
import psutil
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from ragvec.server.users import User
from tests.wire.serving import ACCOUNT, OWNER, REGION, Serving, serving

__all__ = ["run"]

THREADS = 4
ENDS = ("cut", "noise", "chunks", "mutated")
"""Kinds whose end the server would wait for, and that may get no reply."""
PATIENCE = 30.0
GROWTH = 64 << 20
"""Bytes of memory that a worker may gain between the first tenth of the requests and the last: caches fill."""
POWERLESS = User(access_key="AKIDPOWERLESS00000", secret_key="secret-of-the-powerless", account=ACCOUNT, name="guest")
OPERATIONS = (
    "CreateVectorBucket", "CreateIndex", "DeleteIndex", "DeleteVectorBucket", "DeleteVectorBucketPolicy",
    "DeleteVectors", "GetIndex", "GetVectorBucket", "GetVectorBucketPolicy", "GetVectors", "ListIndexes",
    "ListVectorBuckets", "ListVectors", "PutVectorBucketPolicy", "PutVectors", "QueryVectors", "ListTagsForResource",
)  # fmt: skip
INDEX = {"vectorBucketName": "bucket", "indexName": "index"}
WRITE = json.dumps(
    {**INDEX, "vectors": [{"key": "written", "data": {"float32": [9, 9, 9, 9]}, "metadata": {"by": "an attacker"}}]}
).encode()
VALUES: tuple[Any, ...] = (
    None, True, -1, 1e308, "", "x" * 5000, "\ud800", [], [[]], {}, {"float32": ["NaN"]}, {"$or": [[]]}, "bucket",
    1 << 80,
)  # fmt: skip
MEMBERS = (
    "vectorBucketName", "indexName", "indexArn", "vectors", "keys", "topK", "queryVector", "filter", "nextToken",
    "maxResults", "policy", "dimension", "dataType", "distanceMetric", "segmentCount", "prefix", "__proto__", "",
)  # fmt: skip


class Attacker:
    """Makes requests from a seed, as bytes, and says what each is."""

    def __init__(self, server: Serving, seed: int) -> None:
        self.server = server
        self.random = random.Random(seed)
        self._kinds: tuple[Callable[[], bytes], ...] = (
            self.wrong_signature, self.changed_body, self.stale, self.other_service, self.powerless, self.wrong_body,
            self.random_target, self.noise, self.cut, self.too_long, self.chunks, self.other_dialect, self.mutated,
        )  # fmt: skip

    def request(self) -> tuple[str, bytes]:
        """A request and the name of its kind."""
        kind = self.random.choice(self._kinds)
        return kind.__name__, kind()

    def signed(
        self, path: str, body: bytes, *, user: User = OWNER, service: str = "s3vectors", age: int = 0
    ) -> list[tuple[str, str]]:
        """The headers of a request signed as boto3 does, `age` seconds ago."""
        request = AWSRequest("POST", self.server.url + path, data=body, headers={"Content-Type": "application/json"})
        auth = SigV4Auth(Credentials(user.access_key, user.secret_key), service, REGION)
        if age:
            stamp = datetime.datetime.now(datetime.timezone.utc) - datetime.timedelta(seconds=age)
            request.context["timestamp"] = stamp.strftime("%Y%m%dT%H%M%SZ")
            request.headers["X-Amz-Date"] = request.context["timestamp"]
            request.headers["Host"] = f"127.0.0.1:{self.server.port}"
            text = auth.string_to_sign(request, auth.canonical_request(request))
            auth._inject_signature_to_request(request, auth.signature(text, request))
        else:
            auth.add_auth(request)
        return [(name, value) for name, value in request.headers.items() if name.lower() != "host"]

    def raw(self, path: str, body: bytes, headers: list[tuple[str, str]], *, method: str = "POST") -> bytes:
        lines = [f"{method} {path} HTTP/1.1", f"Host: 127.0.0.1:{self.server.port}", f"Content-Length: {len(body)}"]
        lines += [f"{name}: {value}" for name, value in headers]
        return "\r\n".join([*lines, "", ""]).encode("latin-1", "replace") + body

    def wrong_signature(self) -> bytes:
        headers = self.signed("/PutVectors", WRITE)
        return self.raw("/PutVectors", WRITE, [(name, self._other_hex(value, name)) for name, value in headers])

    def changed_body(self) -> bytes:
        return self.raw("/PutVectors", WRITE.replace(b"9, 9", b"8, 8"), self.signed("/PutVectors", WRITE))

    def stale(self) -> bytes:
        """A replay: a request that was right, long ago."""
        age = self.random.choice([920, 3600, 86_400, -920, -86_400 * 400])
        return self.raw("/PutVectors", WRITE, self.signed("/PutVectors", WRITE, age=age))

    def other_service(self) -> bytes:
        service = self.random.choice(["s3", "kendra", "execute-api", ""])
        return self.raw("/PutVectors", WRITE, self.signed("/PutVectors", WRITE, service=service))

    def powerless(self) -> bytes:
        """Rightly signed by a user whom no policy allows anything."""
        path = "/" + self.random.choice(OPERATIONS)
        body = self.random.choice([WRITE, json.dumps(INDEX).encode(), self._body()])
        return self.raw(path, body, self.signed(path, body, user=POWERLESS))

    def wrong_body(self) -> bytes:
        """Rightly signed by the owner, and no request: what is not JSON, or JSON of another shape."""
        path = "/" + self.random.choice(["PutVectors", "QueryVectors", "GetVectors", "CreateIndex", "ListVectors"])
        body = self.random.choice(
            [
                b"{" * self.random.randrange(1, 5000),
                b"[" * 100_000,
                b'{"vectors": [' * 2000,
                bytes(self.random.randrange(256) for _ in range(self.random.randrange(1, 400))),
                WRITE[: self.random.randrange(1, len(WRITE) - 1)],
                b'{"vectorBucketName": "\xff\xfe"}',
                b'{"vectorBucketName": "bucket", "indexName": "index", "vectors": [{"key": 1}]}',
                b'{"topK": 1e999, "queryVector": {"float32": [NaN]}}',
                b"null",
                b'"x"',
            ]
        )
        return self.raw(path, body, self.signed(path, body))

    def random_target(self) -> bytes:
        alphabet = "abcZ019-._~%/?&=:@!$'()*+,;\\^`{|}"
        text = "".join(self.random.choice(alphabet) for _ in range(self.random.randrange(200)))
        method = self.random.choice(["GET", "PUT", "POST", "DELETE", "HEAD", "PATCH", "OPTIONS", "TRACE"])
        query = self.random.choice(["", "?vectors", "?policy", "?vectorIndex", "?X-Amz-Signature=0", "?%ff=%zz"])
        return self.raw("/" + text.replace("?", quote("?")) + query, self._body(), [], method=method)

    def noise(self) -> bytes:
        return bytes(self.random.randrange(256) for _ in range(self.random.randrange(1, 300))) + b"\r\n\r\n"

    def cut(self) -> bytes:
        """A request whose end never comes; the client closes its side."""
        whole = self.raw("/PutVectors", WRITE, self.signed("/PutVectors", WRITE))
        return whole[: self.random.randrange(1, len(whole) - 1)]

    def too_long(self) -> bytes:
        length = self.random.choice([(20 << 20) + 1, 1 << 40, 10**30])
        return self.raw("/PutVectors", b"", []).replace(b"Content-Length: 0", f"Content-Length: {length}".encode())

    def chunks(self) -> bytes:
        """A body in chunks, of lengths that are not theirs."""
        head = b"POST /PutVectors HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
        return head + self.random.choice(
            [b"zz\r\n", b"5\r\nabc\r\n0\r\n\r\n", b"-1\r\n\r\n", b"ffffffffffffffffff\r\nx"]
        )

    def other_dialect(self) -> bytes:
        """What looks like a request of another service, with a signature out of the air."""
        made = f"{self.random.getrandbits(256):064x}"
        key = OWNER.access_key
        day = f"{datetime.datetime.now(datetime.timezone.utc):%Y%m%d}"
        name, value = self.random.choice(
            [
                ("Authorization", f"OSS4-HMAC-SHA256 Credential={key}/{day}/r/oss/aliyun_v4_request,Signature={made}"),
                (
                    "Authorization",
                    f"TOS4-HMAC-SHA256 Credential={key}/{day}/r/tos/request, SignedHeaders=host, Signature={made}",
                ),
                (
                    "Authorization",
                    f"q-sign-algorithm=sha1&q-ak={key}&q-sign-time=0;9999999999&q-key-time=0;9999999999"
                    f"&q-header-list=&q-url-param-list=&q-signature={made[:40]}",
                ),
                ("Authorization", "AWS4-HMAC-SHA256 Credential=////, SignedHeaders=;;, Signature="),
                ("Authorization", "OSS4-HMAC-SHA256 " + made),
                ("X-Amz-Target", "AWSKendraFrontendService.Query"),
                ("Authorization", "\x80\xff"),
            ]
        )
        path = self.random.choice(["/", "/PutVectors", "/bucket/?putVectors", "/?vectorBucket", "/CreateIndex"])
        more = [("x-oss-date", "20261120T000000Z"), ("X-Tos-Date", "nonsense")]
        return self.raw(path, self._body(), [(name, value), *self.random.sample(more, 1)])

    def mutated(self) -> bytes:
        """A right request with some bytes of its head changed: never a right one, for all that matters is signed."""
        whole = bytearray(self.raw("/PutVectors", WRITE, self.signed("/PutVectors", WRITE, age=100_000)))
        for _ in range(self.random.randrange(1, 6)):
            whole[self.random.randrange(len(whole) - len(WRITE))] = self.random.randrange(256)
        return bytes(whole)

    def _body(self) -> bytes:
        members = {name: self.random.choice(VALUES) for name in self.random.sample(MEMBERS, self.random.randrange(6))}
        return json.dumps(members).encode()

    def _other_hex(self, value: str, name: str) -> str:
        if name.lower() != "authorization":
            return value
        head, _, signature = value.rpartition("=")
        place = self.random.randrange(len(signature))
        other = "0" if signature[place] != "0" else "1"
        return f"{head}={signature[:place]}{other}{signature[place + 1 :]}"


def run(*, rounds: int, seed: int, folder: Path) -> dict[str, int | str]:
    """Send so many hostile requests. Returns the replies by class of status.

    Raises:
        AssertionError: a claim above does not hold; the message has the seed and the request.
    """
    with serving(folder / "store", users=(OWNER, POWERLESS), workers=2, flags=("--access-log", "none")) as server:
        client = boto3.client(
            "s3vectors",
            endpoint_url=server.url,
            region_name=REGION,
            aws_access_key_id=OWNER.access_key,
            aws_secret_access_key=OWNER.secret_key,
        )
        client.create_vector_bucket(vectorBucketName="bucket")
        client.create_index(**INDEX, dataType="float32", dimension=4, distanceMetric="cosine")
        vectors = [{"key": f"k{n}", "data": {"float32": [1.0, n, 2.0, 3.0]}, "metadata": {"n": n}} for n in range(50)]
        client.put_vectors(**INDEX, vectors=vectors)
        before = served(client)
        tenth = max(rounds // 10, THREADS)
        statuses = attack(server, rounds=tenth, seed=seed)
        used = memory(server)
        slow = [socket.create_connection(("127.0.0.1", server.port)) for _ in range(20)]
        for number, connection in enumerate(slow):
            connection.sendall(b"POST /PutVectors HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n"[: 5 + number])
        statuses += attack(server, rounds=max(rounds - tenth, 0), seed=seed + 1)
        grown = memory(server) - used
        for connection in slow:
            connection.settimeout(PATIENCE)
            assert b" 200 " not in connection.recv(4096), "an unfinished request was answered"
            connection.close()
        assert served(client) == before, f"seed {seed}: something was written"
        assert grown < GROWTH, f"seed {seed}: the workers' memory grew by {grown >> 20} MB"
        assert "died" not in server.errors(), server.errors()[-2000:]
        assert "Traceback" not in server.errors(), server.errors()[-4000:]
    return {
        **{f"{status}xx" if status else "no reply": number for status, number in sorted(statuses.items())},
        "MB grown": grown >> 20,
    }


def attack(server: Serving, *, rounds: int, seed: int) -> Counter[int]:
    """Send requests from several threads; the replies by the first digit of their status, 0 for none."""
    statuses: Counter[int] = Counter()
    failures: list[str] = []

    def work(number: int) -> None:
        attacker = Attacker(server, seed * 1000 + number)
        try:
            for _ in range(rounds // THREADS):
                kind, raw = attacker.request()
                reply = exchange(server.port, raw, ends=kind in ENDS)
                status = int(reply[9:12]) if reply[:5] == b"HTTP/" else 0
                if status >= 500 or (200 <= status < 300 and kind != "random_target") or not (status or kind in ENDS):
                    raise AssertionError(f"{kind}: {raw[:600]!r}: {reply[:600]!r}")
                statuses[status // 100] += 1
        except (AssertionError, OSError, ValueError) as error:
            failures.append(f"seed {seed}: {error!r}")

    threads = [threading.Thread(target=work, args=(number,)) for number in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures, failures[0]
    return statuses


def exchange(port: int, raw: bytes, *, ends: bool) -> bytes:
    """The beginning of the reply to these bytes; the client `ends` its side of the connection, or waits."""
    with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as connection:
        try:
            connection.sendall(raw)
            if ends:
                connection.shutdown(socket.SHUT_WR)
            received = b""
            while b"\r\n\r\n" not in received and (part := connection.recv(65536)):
                received += part
        except (ConnectionResetError, BrokenPipeError):
            return b""
        return received


def served(client: Any) -> tuple[Any, ...]:
    """All that there is, as the owner sees it."""
    buckets = client.list_vector_buckets()["vectorBuckets"]
    indexes = client.list_indexes(vectorBucketName="bucket")["indexes"]
    vectors = client.list_vectors(**INDEX, returnData=True, returnMetadata=True)["vectors"]
    return buckets, indexes, sorted(vectors, key=lambda vector: str(vector["key"]))


def memory(server: Serving) -> int:
    """The resident bytes of the server and its workers."""
    process = psutil.Process(server.process.pid)
    return sum(part.memory_info().rss for part in (process, *process.children()))
