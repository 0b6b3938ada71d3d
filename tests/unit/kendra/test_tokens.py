"""Tokens of a UserContext: JSON ones as they are, JSON Web Tokens by keys of our own making."""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from kendra_corpus import BagOfStems, fill, present

from ragvec.errors import AccessDenied, InvalidRequest
from ragvec.kendra import KENDRA, Client, QueryIndex, Settings
from ragvec.kendra.access.keys import Fetched, check_key_url, keys_of
from ragvec.kendra.access.tokens import TokenConfiguration, caller, read_token_configuration
from ragvec.kendra.configuration import NOTE, Configuration
from ragvec.kendra.notes import Notes
from ragvec.store import Index, Store

jwt = pytest.importorskip("jwt")
pytest.importorskip("cryptography")
from cryptography.hazmat.primitives import serialization  # noqa: E402
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa  # noqa: E402

LATER, EARLIER = 4_102_444_800, 946_684_800
ALICE = {"user": "alice", "groups": ["HR"], "exp": LATER}


def public_jwk(key: Any, algorithm: str, **members: Any) -> dict[str, Any]:
    made: dict[str, Any] = json.loads(jwt.get_algorithm_by_name(algorithm).to_jwk(key.public_key()))
    return made | members


def pem(key: Any) -> bytes:
    public: bytes = key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return public


@pytest.fixture(scope="module")
def rsa_key() -> Any:
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


@pytest.fixture(scope="module")
def other_key() -> Any:
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


def by(source: str = "arn:keys", **members: Any) -> TokenConfiguration:
    location = "SECRET_MANAGER" if source.startswith("arn") else "URL"
    given = {"kind": "JWT", "user_field": "user", "group_field": "groups", "location": location, "source": source}
    return TokenConfiguration(**(given | members))


def read(token: object, configuration: TokenConfiguration, keys: Any = None) -> Any:
    return caller(token, configuration, keys=keys or {}, limits=KENDRA, path="UserContext.Token")


# JSON tokens.


@pytest.mark.parametrize(
    ("token", "expected"),
    [
        ('{"who": "alice", "in": ["HR", "IT"], "more": 1}', ("alice", ("HR", "IT"))),
        ('{"who": "alice"}', ("alice", ())),
        ('{"in": []}', (None, ())),
    ],
)
def test_a_json_token_names_a_user_and_groups(token: str, expected: Any) -> None:
    assert read(token, TokenConfiguration(kind="JSON", user_field="who", group_field="in")) == expected


@pytest.mark.parametrize(
    ("token", "message"),
    [
        ("alice", "The token is not a JSON object"),
        ("[]", "The token is not a JSON object"),
        ("[" * 50_000, "The token is not a JSON object"),
        ("{}", "names neither a user, in 'who', nor groups, in 'in'"),
        ('{"who": 7}', "Expected a user's name in 'who' of the token, got 7"),
        ('{"who": ""}', "Expected a user's name"),
        ('{"in": "HR"}', "Expected a list of group names in 'in' of the token, got 'HR'"),
        ('{"in": ["HR", 1]}', "Expected a list of group names"),
        ('{"in": [' + ",".join(['"g"'] * 2049) + "]}", "Expected at most 2048 groups in the token, got 2049"),
    ],
    ids=range(9),
)
def test_json_tokens_that_are_none(token: str, message: str) -> None:
    with pytest.raises(AccessDenied) as caught:
        read(token, TokenConfiguration(kind="JSON", user_field="who", group_field="in"))
    assert message in str(caught.value)


@pytest.mark.parametrize("token", ["", "x" * 100_001, 7, b"{}"], ids=["empty", "long", "number", "bytes"])
def test_what_is_no_text_of_a_tokens_length_is_an_invalid_request(token: object) -> None:
    with pytest.raises(InvalidRequest, match="Expected text of 1 to 100,000 characters"):
        read(token, TokenConfiguration(kind="JSON", user_field="who", group_field="in"))


# JSON Web Tokens.


@pytest.mark.parametrize("algorithm", ["RS256", "RS512", "PS384", "ES256", "ES384", "ES512", "EdDSA"])
@pytest.mark.parametrize("form", ["set", "key", "pem", "file"])
def test_keys_of_every_type_and_form(rsa_key: Any, algorithm: str, form: str, tmp_path: Path) -> None:
    curves = {"ES256": ec.SECP256R1(), "ES384": ec.SECP384R1(), "ES512": ec.SECP521R1()}
    if algorithm == "EdDSA":
        key: Any = ed25519.Ed25519PrivateKey.generate()
    else:
        key = ec.generate_private_key(curves[algorithm]) if algorithm in curves else rsa_key
    one = public_jwk(key, algorithm, kid="k1", use="sig")
    file = tmp_path / "keys.json"
    file.write_text(json.dumps({"keys": [one]}))
    source = {"set": {"keys": [one]}, "key": one, "pem": pem(key), "file": file}[form]
    token = jwt.encode(ALICE, key, algorithm=algorithm, headers={"kid": "k1"})
    assert read(token, by(), {"arn:keys": source}) == ("alice", ("HR",))


def test_a_shared_secret_that_is_given(rsa_key: Any) -> None:
    secret = {"kty": "oct", "k": base64.urlsafe_b64encode(b"s" * 32).decode().rstrip("=")}
    assert read(jwt.encode(ALICE, b"s" * 32, algorithm="HS256"), by(), {"arn:keys": secret}) == ("alice", ("HR",))
    with pytest.raises(AccessDenied, match="The token is not valid"):
        read(jwt.encode(ALICE, b"t" * 32, algorithm="HS256"), by(), {"arn:keys": secret})


def forged(header: dict[str, Any], claims: dict[str, Any], signature: bytes = b"") -> str:
    parts = (json.dumps(header).encode(), json.dumps(claims).encode(), signature)
    return ".".join(base64.urlsafe_b64encode(part).decode().rstrip("=") for part in parts)


def hmac_by_public_key(key: Any) -> str:
    import hashlib
    import hmac

    unsigned = forged({"alg": "HS256", "typ": "JWT"}, ALICE).rsplit(".", 1)[0]
    return forged({"alg": "HS256", "typ": "JWT"}, ALICE, hmac.new(pem(key), unsigned.encode(), hashlib.sha256).digest())


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda key, other: jwt.encode(ALICE, other, algorithm="RS256"), "Signature verification failed"),
        (lambda key, other: jwt.encode(ALICE, key, algorithm="RS256")[:-8] + "AAAAAAAA", "not valid"),
        (lambda key, other: jwt.encode({**ALICE, "exp": EARLIER}, key, algorithm="RS256"), "Signature has expired"),
        (lambda key, other: jwt.encode({**ALICE, "nbf": LATER}, key, algorithm="RS256"), "not yet valid"),
        (lambda key, other: jwt.encode({**ALICE, "exp": "soon"}, key, algorithm="RS256"), "not valid"),
        (lambda key, other: jwt.encode({**ALICE, "exp": float("inf")}, key, algorithm="RS256"), "not valid"),
        (lambda key, other: jwt.encode({**ALICE, "exp": float("nan")}, key, algorithm="RS256"), "not valid"),
        (lambda key, other: jwt.encode({**ALICE, "iss": "them"}, key, algorithm="RS256"), "Invalid issuer"),
        (lambda key, other: jwt.encode({"user": "alice"}, key, algorithm="RS256"), '"iss" claim'),
        (lambda key, other: forged({"alg": "none"}, ALICE), "The token is signed by 'none'"),
        (lambda key, other: forged({"alg": ["RS256"]}, ALICE), "The token is signed by ['RS256']"),
        (lambda key, other: forged({"typ": "JWT"}, ALICE), "The token is signed by None"),
        (lambda key, other: hmac_by_public_key(key), "no key fits it"),
        (lambda key, other: '{"user": "alice"}', "The token is not a JSON Web Token"),
        (lambda key, other: "a.b", "The token is not a JSON Web Token"),
        (lambda key, other: "\ud800.a.b", "The token is not a JSON Web Token"),
    ],
    ids=range(16),
)
@pytest.mark.parametrize("form", ["set", "pem"])
def test_tokens_that_prove_nothing(
    rsa_key: Any, other_key: Any, make: Callable[[Any, Any], str], message: str, form: str
) -> None:
    source: Any = {"keys": [public_jwk(rsa_key, "RS256", kid="k1")]} if form == "set" else pem(rsa_key)
    token = make(rsa_key, other_key)
    with pytest.raises(AccessDenied) as caught:
        read(token, by(issuer="us"), {"arn:keys": source})
    assert message in str(caught.value)


def test_a_token_that_names_a_key_is_verified_by_no_other(rsa_key: Any) -> None:
    token = jwt.encode(ALICE, rsa_key, algorithm="RS256", headers={"kid": "k2"})
    with pytest.raises(AccessDenied, match="no key fits it"):
        read(token, by(), {"arn:keys": {"keys": [public_jwk(rsa_key, "RS256", kid="k1")]}})
    assert read(token, by(), {"arn:keys": {"keys": [public_jwk(rsa_key, "RS256")]}}) == ("alice", ("HR",))


def test_claims_under_other_names_and_a_part_of_a_name(rsa_key: Any) -> None:
    claims = {"email": "alice@ferry.example", "roles": ["HR"], "iss": "us", "aud": "anybody", "exp": LATER}
    token = jwt.encode(claims, rsa_key, algorithm="RS256")
    names = {"user_field": "email", "group_field": "roles", "issuer": "us"}
    keys = {"arn:keys": pem(rsa_key)}
    assert read(token, by(**names), keys) == ("alice@ferry.example", ("HR",))
    assert read(token, by(**names, claim_regex=r"(.+)@ferry\.example"), keys) == ("alice", ("HR",))
    assert read(token, by(**names, claim_regex=r".+@.+"), keys) == ("alice@ferry.example", ("HR",))
    with pytest.raises(AccessDenied, match="does not match"):
        read(token, by(**names, claim_regex=r"(.+)@tram\.example"), keys)


def test_keys_that_are_not_to_be_had() -> None:
    token = forged({"alg": "RS256"}, ALICE, b"x")
    with pytest.raises(AccessDenied, match="AWS Secrets Manager, which is not asked: pass Settings"):
        read(token, by())
    with pytest.raises(AccessDenied, match="cannot be read: .*No such file"):
        read(token, by(), {"arn:keys": "/nowhere/keys.json"})
    for content in (b"{}", b"[]", b"{", b'{"keys": 1}', b'{"keys": [1]}', b"[" * 100_000):
        with pytest.raises(AccessDenied, match="no JSON Web Key Set"):
            keys_of(content)
    with pytest.raises(AccessDenied, match="no key fits it"):
        read(token, by(), {"arn:keys": {"keys": [{"kty": "RSA"}, {"kty": "EC", "crv": 1}, {"kty": "what"}]}})


# Keys at a URL.


class KeyServer:
    """A web server that serves what `pages` has, and counts the requests."""

    def __init__(self) -> None:
        self.pages: dict[str, bytes | str] = {}
        self.asked: list[str] = []
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                server.asked.append(self.path)
                page = server.pages.get(self.path)
                if isinstance(page, str):
                    self.send_response(302)
                    self.send_header("Location", page)
                else:
                    self.send_response(404 if page is None else 200)
                self.end_headers()
                if isinstance(page, bytes):
                    self.wfile.write(page)

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})
        self._thread.start()

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self._server.server_port}{path}"

    def close(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


@pytest.fixture
def key_server() -> Iterator[KeyServer]:
    server = KeyServer()
    try:
        yield server
    finally:
        server.close()


def test_keys_at_a_url_are_kept_and_fetched_again_for_an_unknown_one(
    key_server: KeyServer, rsa_key: Any, other_key: Any
) -> None:
    now = [0.0]
    fetched = Fetched(clock=lambda: now[0])
    url = key_server.url("/keys")
    key_server.pages["/keys"] = json.dumps({"keys": [public_jwk(rsa_key, "RS256", kid="k1")]}).encode()

    def ids(wanted: str | None) -> list[str]:
        return [key["kid"] for key in fetched.keys(url, wanted=wanted)]

    assert ids("k1") == ids(None) == ids("k1") == ["k1"]
    assert len(key_server.asked) == 1
    new = public_jwk(other_key, "RS256", kid="k2")
    key_server.pages["/keys"] = json.dumps({"keys": [new]}).encode()
    now[0] = 9.0
    assert ids("k2") == ["k1"]
    now[0] = 11.0
    assert ids("k2") == ["k2"]
    now[0] = 300.0
    assert ids("k2") == ["k2"]
    assert len(key_server.asked) == 2
    now[0] = 312.0
    key_server.pages.clear()
    for _ in range(2):
        with pytest.raises(AccessDenied, match="cannot be had from .*: HTTP Error 404"):
            ids("k2")
    assert len(key_server.asked) == 3


def test_what_is_no_key_set_at_a_url(key_server: KeyServer, tmp_path: Path) -> None:
    secret = tmp_path / "keys.json"
    secret.write_text('{"keys": []}')
    key_server.pages |= {
        "/to-file": secret.as_uri(),
        "/to-keys": key_server.url("/keys"),
        "/keys": b'{"keys": []}',
        "/text": b"hello",
        "/pem": b"-----BEGIN PUBLIC KEY-----",
        "/large": b" " * (1 << 21),
    }
    for path, message in [
        ("/to-file", "HTTP Error 302"),
        ("/to-keys", "HTTP Error 302"),
        ("/text", "no JSON Web Key Set"),
        ("/pem", "no JSON Web Key Set"),
        ("/large", "more than 1,048,576 bytes"),
        ("/absent", "HTTP Error 404"),
    ]:
        with pytest.raises(AccessDenied, match=message):
            Fetched().keys(key_server.url(path), wanted=None)
    assert Fetched().keys(key_server.url("/keys"), wanted=None) == ()
    for url in (secret.as_uri(), "http://keys.example/jwks", "ftp://keys.example/", "https://", "https://[::1", "x"):
        assert check_key_url(url) is not None
        with pytest.raises(AccessDenied, match="cannot be had from"):
            Fetched().keys(url, wanted=None)


def test_secrets_at_a_url_sign_nothing(key_server: KeyServer) -> None:
    secret = {"kty": "oct", "k": base64.urlsafe_b64encode(b"s" * 32).decode().rstrip("=")}
    key_server.pages["/keys"] = json.dumps({"keys": [secret]}).encode()
    with pytest.raises(AccessDenied, match="no key fits it"):
        read(jwt.encode(ALICE, b"s" * 32, algorithm="HS256"), by(key_server.url("/keys")))


# What an index is configured with.

JWT = {"KeyLocation": "URL", "URL": "https://keys.example/jwks"}


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({}, "Expected a list, got {}"),
        ([{}, {}], "Expected at most one configuration, got 2"),
        ([{}], "Expected JwtTokenTypeConfiguration or JsonTokenTypeConfiguration, got nothing"),
        ([{"Saml": {}}], "Unknown member 'Saml' - at `UserTokenConfigurations[0]`"),
        ([{"JsonTokenTypeConfiguration": {"UserNameAttributeField": "u"}}], "GroupAttributeField`"),
        ([{"JsonTokenTypeConfiguration": {"UserNameAttributeField": "", "GroupAttributeField": "g"}}], "1 to 100"),
        ([{"JwtTokenTypeConfiguration": {}}], "Expected URL or SECRET_MANAGER, got None"),
        ([{"JwtTokenTypeConfiguration": {"KeyLocation": "URL"}}], "JwtTokenTypeConfiguration.URL`"),
        ([{"JwtTokenTypeConfiguration": {"KeyLocation": "SECRET_MANAGER"}}], "SecretManagerArn`"),
        ([{"JwtTokenTypeConfiguration": JWT | {"URL": "file:///etc/keys"}}], "expected an https URL"),
        ([{"JwtTokenTypeConfiguration": JWT | {"URL": "http://keys.example/"}}], "expected https, since by http"),
        ([{"JwtTokenTypeConfiguration": JWT | {"ClaimRegex": "("}}], "Expected a regular expression, got '('"),
        ([{"JwtTokenTypeConfiguration": JWT | {"Issuer": "x" * 66}}], "Expected text of 1 to 65 characters"),
    ],
)
def test_token_configurations_that_are_refused(value: object, message: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        read_token_configuration(value)
    assert message in str(caught.value)


def test_token_configurations() -> None:
    assert read_token_configuration([]) is read_token_configuration(None) is None
    found = read_token_configuration([{"JwtTokenTypeConfiguration": JWT}])
    assert found == by("https://keys.example/jwks")


DOCUMENTS = [
    {"id": "open", "text": "ferry"},
    {"id": "hr", "text": "ferry", "_acl_allow": ["group:HR"]},
    {"id": "not-alice", "text": "ferry", "_acl_deny": ["user:alice"]},
]


def configured(store: Store, name: str, **members: Any) -> Index:
    index = fill(store, DOCUMENTS, name=name)
    note = Configuration(name=name, created=0.0, updated=0.0, **members)
    Notes(index).change(NOTE, Configuration, lambda _: note)
    return index


def test_an_index_that_takes_tokens(store: Store, rsa_key: Any) -> None:
    tokens = [{"JwtTokenTypeConfiguration": JWT}]
    index = configured(store, "tokens", policy="USER_TOKEN", user_tokens=tokens)
    settings = Settings(token_keys={JWT["URL"]: pem(rsa_key)})
    client = Client(store, embedder=BagOfStems(), settings=settings)

    def found(context: Any, text: str | None = "ferry") -> set[str]:
        response = client.query(
            IndexId=index.uid, PageSize=100, Facets=[], **present(QueryText=text, UserContext=context)
        )
        return {item["DocumentId"] for item in response["ResultItems"]}

    assert found({"Token": jwt.encode(ALICE, rsa_key, algorithm="RS256")}) == {"open", "hr"}
    assert found({"Token": jwt.encode({"user": "bob"}, rsa_key, algorithm="RS256")}) == {"open", "not-alice"}
    assert found({"UserId": "bob", "Groups": ["HR"]}) == {"open", "hr", "not-alice"}
    assert found(None) == found({}) == {"open", "not-alice"}, "nobody in particular sees what is public"
    with pytest.raises(client.exceptions.AccessDeniedException, match="Signature has expired"):
        found({"Token": jwt.encode({**ALICE, "exp": EARLIER}, rsa_key, algorithm="RS256")})
    with pytest.raises(client.exceptions.ValidationException, match="either Token, or UserId and Groups"):
        found({"Token": "t", "UserId": "alice"})
    search = QueryIndex(index, embedder=BagOfStems(), settings=settings).search
    token = jwt.encode(ALICE, rsa_key, algorithm="RS256")
    assert {item.document_id for item in search("ferry", token=token)} == {"open", "hr"}


def test_an_index_of_the_edition_without_tokens(store: Store) -> None:
    tokens = [{"JwtTokenTypeConfiguration": JWT}]
    index = configured(store, "ai", policy="USER_TOKEN", user_tokens=tokens, edition="GEN_AI_ENTERPRISE_EDITION")
    client = Client(store, embedder=BagOfStems())
    with pytest.raises(client.exceptions.ValidationException, match="GEN_AI_ENTERPRISE_EDITION takes no tokens"):
        client.query(IndexId=index.uid, QueryText="ferry", UserContext={"Token": "t"})


def test_an_index_that_takes_none(store: Store) -> None:
    client = Client(store, embedder=BagOfStems())
    for name, members, needed in [
        ("without", {}, "UserContextPolicy USER_TOKEN"),
        ("half", {"policy": "USER_TOKEN"}, "UserTokenConfigurations"),
    ]:
        uid = configured(store, name, **members).uid
        with pytest.raises(client.exceptions.ValidationException, match=f"would need {needed}"):
            client.query(IndexId=uid, QueryText="ferry", UserContext={"Token": "{}"})
