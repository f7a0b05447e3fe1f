"""Which tokens are good. Rule: the key decides the algorithm; everything else is refused."""

import base64
import hashlib
import hmac
import json
import time
from collections.abc import Callable
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from jwt.algorithms import ECAlgorithm, RSAAlgorithm

from api.http import auth
from api.http.auth import Authenticator, TokenRefusedError
from domain.envelope import Actor, Role
from tests.api.api import Api, assert_problem
from tests.fakes.tokens import AUDIENCE, ISSUER, Issuer

NOW = int(time.time())


class Keys:
    """A JWKS document that can change, and counts how often it is read."""

    def __init__(self, *keys: dict[str, Any]) -> None:
        self.keys = list(keys)
        self.reads = 0

    def __call__(self) -> bytes:
        self.reads += 1
        return json.dumps({"keys": self.keys}).encode()


def authenticator(keys: Callable[[], bytes], now: Callable[[], float] = time.time) -> Authenticator:
    return Authenticator(keys, issuer=ISSUER, audience=AUDIENCE, now=now)


def encoded(value: Any) -> str:
    raw = value if isinstance(value, bytes) else json.dumps(value).encode()
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def unsigned(header: Any, claims: Any, signature: bytes = b"") -> str:
    return f"{encoded(header)}.{encoded(claims)}.{encoded(signature)}"


@pytest.mark.parametrize("role", sorted(set(Role) - {Role.OPERATOR, Role.PROCESS}))
def test_a_good_token_says_who_and_in_which_role(role: Role) -> None:
    issuer = Issuer()
    actor = authenticator(issuer.jwks).authenticate(issuer.token(role, "c-1"))
    assert actor == Actor("c-1", role)


@pytest.mark.parametrize(
    "changes",
    [
        {"exp": NOW - 60},
        {"exp": None},
        {"exp": "soon"},
        {"exp": 10**400},
        {"exp": [NOW + 60]},
        {"iat": None},
        {"iat": NOW + 600},
        {"nbf": NOW + 600},
        {"iss": "someone-else"},
        {"iss": None},
        {"aud": "another-service"},
        {"aud": None},
        {"aud": []},
        {"sub": None},
        {"sub": ""},
        {"sub": " "},
        {"sub": "s" * 129},
        {"sub": "a\0b"},
        {"sub": "\ud800"},
        {"sub": 5},
        {"role": None},
        {"role": "admin"},
        {"role": "operator"},
        {"role": "Service"},
        {"role": ["service"]},
        {"role": 1},
    ],
)
def test_a_token_whose_claims_are_not_right_is_refused(api: Api, changes: dict[str, Any]) -> None:
    claims = api.issuer.claims() | changes
    claims = {name: value for name, value in claims.items() if value is not None}
    header = {"alg": "EdDSA", "kid": api.issuer.kid}
    signed = f"{encoded(header)}.{encoded(claims)}"
    token = f"{signed}.{encoded(api.issuer.key.sign(signed.encode()))}"
    response = api.place(headers={"Authorization": f"Bearer {token}"})
    assert_problem(response, 401, "token_refused")
    assert not api.store.log


def test_a_token_without_or_with_another_signature_is_refused(api: Api) -> None:
    claims, kid = api.issuer.claims(), api.issuer.kid
    foreign, good = Issuer(kid), api.issuer.token()
    header, _, signature = good.split(".")
    public = api.issuer.key.public_key().public_bytes_raw()
    confused = f"{encoded({'alg': 'HS256', 'kid': kid})}.{encoded(claims)}"
    tokens = {
        "foreign key": foreign.token(),
        "foreign kid": Issuer("key-2").token(),
        "none": unsigned({"alg": "none", "kid": kid}, claims),
        "None": unsigned({"alg": "None", "kid": kid}, claims),
        "no signature": unsigned({"alg": "EdDSA", "kid": kid}, claims),
        "HS256 by the public key": f"{confused}."
        + encoded(hmac.digest(public, confused.encode(), hashlib.sha256)),
        "no kid": jwt.encode(claims, api.issuer.key, algorithm="EdDSA"),
        "other claims": f"{header}.{encoded(claims | {'sub': 'x'})}.{signature}",
        "crit": jwt.encode(
            claims, api.issuer.key, "EdDSA", headers={"kid": kid, "crit": ["b64"], "b64": False}
        ),
        "kid of another type": unsigned({"alg": "EdDSA", "kid": [kid]}, claims),
        "alg of another type": unsigned({"alg": ["EdDSA"], "kid": kid}, claims),
        "no alg": unsigned({"kid": kid}, claims),
        "header bomb": f"{encoded(b'[' * 5000)}.e30.e30",
        "header list": unsigned([], claims),
        "too long": good + "A" * auth.LONGEST_TOKEN,
        "two parts": ".".join(good.split(".")[:2]),
        "junk": "junk",
        "empty": "",
        "not ASCII": "\u00e9" * 40,
    }
    for name, token in tokens.items():
        sent: Any = {"Authorization": f"Bearer {token}".encode("latin-1")}
        response = api.place(headers=sent)
        assert response.status_code == 401, name
        problem = assert_problem(response, 401, "token_refused")
        assert set(problem) == {"type", "title", "status", "code", "detail"}
        assert response.headers["www-authenticate"] == 'Bearer error="invalid_token"'
    assert not api.store.log


@pytest.mark.parametrize("exp", ["9999999999", 10**30, True, None, [NOW + 600], {}])
def test_an_expiry_that_is_no_date_is_refused(exp: object) -> None:
    issuer = Issuer()
    takes = authenticator(issuer.jwks)
    with pytest.raises(TokenRefusedError):
        takes.authenticate(issuer.token(exp=exp))


@pytest.mark.parametrize("scheme", ["Basic", "Token", ""])
def test_another_scheme_is_refused(api: Api, scheme: str) -> None:
    response = api.place(headers={"Authorization": f"{scheme} {api.issuer.token()}"})
    assert_problem(response, 401, "token_refused")


def test_no_token_is_a_401_that_says_what_to_send(api: Api) -> None:
    response = api.place(role=None)
    assert_problem(response, 401, "token_missing")
    assert response.headers["www-authenticate"] == "Bearer"


def test_the_scheme_may_be_written_in_any_case(api: Api) -> None:
    response = api.place(headers={"Authorization": f"bearer {api.issuer.token()}"})
    assert response.status_code == 201


def test_ec_and_rsa_keys_verify_with_their_own_algorithm_only() -> None:
    ec_key = ec.generate_private_key(ec.SECP256R1())
    rsa_key = rsa.generate_private_key(65537, 2048)
    ec_jwk = json.loads(ECAlgorithm.to_jwk(ec_key.public_key())) | {"kid": "ec"}
    rsa_jwk = json.loads(RSAAlgorithm.to_jwk(rsa_key.public_key())) | {"kid": "rsa"}
    takes = authenticator(Keys(ec_jwk, rsa_jwk))
    claims = Issuer().claims()
    for key, kid, algorithm in ((ec_key, "ec", "ES256"), (rsa_key, "rsa", "RS256")):
        token = jwt.encode(claims, key, algorithm=algorithm, headers={"kid": kid})
        assert takes.authenticate(token).role is Role.SERVICE
    for algorithm in ("PS256", "RS512"):
        token = jwt.encode(claims, rsa_key, algorithm=algorithm, headers={"kid": "rsa"})
        with pytest.raises(TokenRefusedError):
            takes.authenticate(token)


def test_keys_that_may_not_sign_are_not_taken() -> None:
    good = Issuer().public_jwk()
    secret = {"kty": "oct", "k": "c2VjcmV0", "kid": "oct", "alg": "HS256"}
    bad = [secret, good | {"use": "enc"}, good | {"alg": "HS256"}, good | {"kid": None}]
    for jwk in bad:
        with pytest.raises(ValueError, match="no usable key"):
            authenticator(Keys(jwk))
    assert authenticator(Keys(*bad, good))


@pytest.mark.parametrize("document", [b"", b"[]", b"{}", b'{"keys": 1}', b"not json"])
def test_what_is_no_jwks_stops_the_start(document: bytes) -> None:
    with pytest.raises(ValueError, match=r".*"):
        authenticator(lambda: document)


def test_a_verified_token_is_remembered_no_longer_than_it_lives(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    issuer, clock = Issuer(), [float(NOW)]
    takes = authenticator(issuer.jwks, lambda: clock[0])
    token = issuer.token(exp=NOW + 600)
    takes.authenticate(token)
    verified: list[str] = []

    def verify(sent: str) -> None:
        verified.append(sent)
        raise TokenRefusedError

    monkeypatch.setattr(takes, "_verify", verify)
    assert takes.authenticate(token).subject == "shop"
    clock[0] = NOW + 600 + auth.LEEWAY_S
    with pytest.raises(TokenRefusedError):
        takes.authenticate(token)
    assert verified == [token]


def test_the_memory_of_tokens_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(auth, "MOST_CACHED", 3)
    issuer = Issuer()
    takes = authenticator(issuer.jwks)
    for number in range(5):
        takes.authenticate(issuer.token(subject=f"c-{number}"))
    assert len(takes._verified) == 3


def test_a_verified_header_is_known_no_longer_than_its_token_lives(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    issuer, clock = Issuer(), [float(NOW)]
    takes = authenticator(issuer.jwks, lambda: clock[0])
    header = b"Bearer " + issuer.token(exp=NOW + 600).encode()
    takes.authenticate_header(header)

    def verify(_token: str) -> None:
        raise TokenRefusedError

    monkeypatch.setattr(takes, "_verify", verify)
    assert takes.authenticate_header(header).subject == "shop"
    clock[0] = NOW + 600 + auth.LEEWAY_S
    with pytest.raises(TokenRefusedError):
        takes.authenticate_header(header)


def test_a_verified_header_is_forgotten_with_the_keys_that_it_was_verified_by() -> None:
    old, new, clock = Issuer("old"), Issuer("new"), [float(NOW)]
    keys = Keys(old.public_jwk())
    takes = authenticator(keys, lambda: clock[0])
    header = b"Bearer " + old.token().encode()
    takes.authenticate_header(header)
    keys.keys = [new.public_jwk()]
    clock[0] += auth.RELOAD_INTERVAL_S
    assert takes.authenticate(new.token())
    with pytest.raises(TokenRefusedError):
        takes.authenticate_header(header)


def test_the_memory_of_headers_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(auth, "MOST_CACHED", 3)
    issuer = Issuer()
    takes = authenticator(issuer.jwks)
    for number in range(5):
        takes.authenticate_header(b"Bearer " + issuer.token(subject=f"c-{number}").encode())
    takes.authenticate_header(b"Bearer " + b" " * auth.LONGEST_SEEN + issuer.token().encode())
    assert len(takes._seen) == 3
    assert all(len(header) <= auth.LONGEST_SEEN for header in takes._seen)


def test_a_new_key_is_found_without_a_restart_and_strangers_cannot_make_us_read_on() -> None:
    old, new, clock = Issuer("old"), Issuer("new"), [float(NOW)]
    keys = Keys(old.public_jwk())
    takes = authenticator(keys, lambda: clock[0])
    takes.authenticate(old.token())
    keys.keys = [new.public_jwk()]
    for _ in range(5):
        with pytest.raises(TokenRefusedError):
            takes.authenticate(new.token())
    assert keys.reads == 1
    clock[0] += auth.RELOAD_INTERVAL_S
    assert takes.authenticate(new.token())
    assert keys.reads == 2
    with pytest.raises(TokenRefusedError):
        takes.authenticate(old.token())


def test_a_broken_key_file_leaves_the_good_keys_in_force() -> None:
    issuer, clock = Issuer(), [float(NOW)]
    documents = [b"half a fi", issuer.jwks()]
    takes = authenticator(documents.pop, lambda: clock[0])
    clock[0] += auth.RELOAD_INTERVAL_S
    with pytest.raises(TokenRefusedError):
        takes.authenticate(Issuer("unknown").token())
    assert takes.authenticate(issuer.token())
