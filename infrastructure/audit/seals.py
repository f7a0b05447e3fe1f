"""A seal: a signed statement that a range of the log was just so.

A seal is two lines of text. The first is one JSON object with its members in a fixed order; the
second is the Base64 of an Ed25519 signature (RFC 8032) over the first, without its newline. These
bytes are stored in PostgreSQL and copied to S3 as they are. Each seal holds the SHA-256 of the
bytes of the seal before, so that none can be taken out or changed alone.

Rule: a seal is believed by its signature only. Whoever reads one needs the public keys, and
nothing else.
"""

import base64
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path

import msgspec
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
    load_pem_public_key,
)

FORMAT = "ordertrail.seal.v1"
NO_SEAL = "0" * 64
_PEM_BEGIN, _PEM_END = b"-----BEGIN ", b"-----END PUBLIC KEY-----"


class BadSealError(Exception):
    """These bytes are no seal of ours; the message says why."""


class BadKeyError(Exception):
    """A file holds no public keys, or something else as well."""


class Seal(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is signed.

    Attributes:
        number: from 1, without gaps.
        first_position, last_position: the range, both within it.
        events: in the range; it has no gaps, so this says nothing new, but plainly.
        root: of the Merkle tree over the range (`merkle`), in hex.
        sealed_at: RFC 3339, UTC.
        previous: SHA-256 of the seal before, in hex; zeros for the first.
        key: which key signed it (`key_id`).
        copied: up to this number, the sealer had seen a copy of every seal on S3 by then.
    """

    number: int
    first_position: int
    last_position: int
    events: int
    root: str
    sealed_at: str
    previous: str
    key: str
    copied: int = 0
    format: str = FORMAT


def key_id(key: Ed25519PublicKey) -> str:
    """Name a key: the first 8 bytes of the SHA-256 of its raw bytes, in hex."""
    return sha256(key.public_bytes_raw()).hexdigest()[:16]


def sign(seal: Seal, key: Ed25519PrivateKey) -> bytes:
    """Write a seal's bytes."""
    document = msgspec.json.encode(seal)
    return document + b"\n" + base64.b64encode(key.sign(document)) + b"\n"


def read_seal(raw: bytes, keys: Mapping[str, Ed25519PublicKey]) -> Seal:
    """Read a seal's bytes, and believe them only with a good signature.

    Raises:
        BadSealError: they are no seal, or none of `keys` signed them.
    """
    document, _, rest = raw.partition(b"\n")
    try:
        seal = msgspec.json.decode(document, type=Seal)
        signature = base64.b64decode(rest.removesuffix(b"\n"), validate=True)
    except ValueError as error:
        raise BadSealError("it can't be read") from error
    if seal.key not in keys:
        raise BadSealError(f"it is signed with a key that is not ours ({seal.key[:16]})")
    try:
        keys[seal.key].verify(signature, document)
    except InvalidSignature:
        raise BadSealError("its signature is not good") from None
    if seal.format != FORMAT:
        raise BadSealError(f"it has the format {seal.format}")
    return seal


def digest(raw: bytes) -> str:
    """Hash a seal's bytes as the next one holds it."""
    return sha256(raw).hexdigest()


def new_signing_key() -> str:
    """Draw a signing key: PKCS #8 in PEM, not encrypted."""
    key = Ed25519PrivateKey.generate()
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


def public_half(signing_key: Path) -> str:
    """Give the public key of a signing key's file, in PEM."""
    public = read_signing_key(signing_key).public_key()
    return public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


def read_signing_key(file: Path) -> Ed25519PrivateKey:
    """Read the signing key, PKCS #8 in PEM."""
    key = load_pem_private_key(file.read_bytes(), password=None)
    if not isinstance(key, Ed25519PrivateKey):
        raise TypeError(f"{file} holds no Ed25519 key")
    return key


def read_public_keys(file: Path) -> Mapping[str, Ed25519PublicKey]:
    """Read all public keys of a PEM file: after a new signing key, the old ones stay in it.

    A file that is damaged is refused whole: with keys missing, good seals would look forged.

    Raises:
        BadKeyError: it holds none, or one that can't be read.
        OSError: the file can't be read.
    """
    *blocks, rest = file.read_bytes().split(_PEM_END)
    try:
        keys = [load_pem_public_key(block + _PEM_END) for block in blocks]
    except (ValueError, UnsupportedAlgorithm) as error:
        raise BadKeyError(f"the public key in {file} can't be read") from error
    ours = {key_id(key): key for key in keys if isinstance(key, Ed25519PublicKey)}
    if not ours or _PEM_BEGIN in rest:
        raise BadKeyError(f"the public key in {file} is missing or cut short")
    return ours
