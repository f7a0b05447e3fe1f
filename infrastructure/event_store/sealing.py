"""Personal data under a key per customer, so that forgetting somebody is deleting one key.

AES-256-GCM (NIST SP 800-38D) with random 96-bit nonces; each data key is wrapped the same
way under the master key, bound to its customer. Keys are cached, bounded in number and time, so
that one that was deleted is soon nowhere; what is sealed is bound to its event's id, so a box can't
be moved to another event.
"""

import base64
import binascii
import os
import time
from collections import OrderedDict
from collections.abc import Iterable
from pathlib import Path
from typing import Final, NamedTuple, NoReturn

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from domain.ids import CustomerId

NONCE_BYTES = 12
KEY_BYTES = 32
CACHED_KEYS = 50_000
ASKED_AGAIN_S = 60.0
"""A key that was read so long ago is read again before it is used: it may be deleted since."""
FORGOTTEN: Final = None


class KeyMissingError(Exception):
    """A box whose key is not cached: it must be fetched first."""


class CustomerForgottenError(Exception):
    """Nothing can be sealed for a customer who was forgotten: there will be no key again."""


class KeyDamagedError(Exception):
    """A customer's stored key can't be unwrapped, so nothing of theirs can be sealed or opened."""


class MasterKeyWrongError(Exception):
    """There is no master key, or it is another one: it unwraps less than half of what it should."""


class _Damaged:
    """In the place of a cipher that there is none of."""

    def encrypt(self, *_: bytes) -> NoReturn:
        raise KeyDamagedError

    def decrypt(self, *_: bytes) -> NoReturn:
        raise KeyDamagedError


class _Key(NamedTuple):
    """Attributes: cipher: None: forgotten; read_at: by the monotonic clock, in seconds."""

    wrapped: bytes | None
    cipher: AESGCM | _Damaged | None
    read_at: float


class DataKeys:
    """Data keys by customer. It does no I/O: whoever reads rows of `customer_keys` teaches it."""

    def __init__(self, master_key: bytes) -> None:
        self._master = AESGCM(master_key)
        self._cached: OrderedDict[CustomerId, _Key] = OrderedDict()
        self.is_right = False
        """Whether the master key is known for the right one: what it can't unwrap is damaged."""

    def unknown(self, customers: Iterable[CustomerId]) -> set[CustomerId]:
        """Give those whose key must be fetched before sealing or opening."""
        since = time.monotonic() - ASKED_AGAIN_S
        cached = self._cached
        return {one for one in customers if one not in cached or self._is_stale(cached[one], since)}

    def _is_stale(self, key: _Key, since: float) -> bool:
        # With a wrong master key every one looks damaged, each time that it is asked for.
        return key.read_at < since or (isinstance(key.cipher, _Damaged) and not self.is_right)

    def learn(self, customer: CustomerId, wrapped: bytes | None) -> bool:
        """Take a key as the database has it; None: the customer was forgotten.

        One that can't be unwrapped is taken too, and concerns only who needs it; False then.
        """
        try:
            cipher = None if wrapped is None else self._unwrap(customer, wrapped)
        except (InvalidTag, ValueError):  # of the wrong length, too
            self._remember(customer, wrapped, _Damaged())
            return False
        self._remember(customer, wrapped, cipher)
        return True

    def create(self, customer: CustomerId) -> None:
        """Draw a key for a customer who has none; it counts once it is stored with an event."""
        key = AESGCM.generate_key(KEY_BYTES * 8)
        nonce = os.urandom(NONCE_BYTES)
        wrapped = nonce + self._master.encrypt(nonce, key, customer.encode())
        self._remember(customer, wrapped, AESGCM(key))

    def drop(self, customer: CustomerId) -> None:
        """Forget what is cached: another process has stored another key."""
        self._cached.pop(customer, None)

    def drop_all(self) -> None:
        """Forget all that is cached: somebody may have been forgotten since."""
        self._cached.clear()

    def wrapped(self, customer: CustomerId) -> bytes | None:
        return self._get(customer).wrapped

    def seal(self, customer: CustomerId, plain: bytes, *, bound_to: bytes) -> str:
        """Encrypt; Base64 of nonce and ciphertext.

        Raises:
            KeyMissingError: the customer's key was not fetched.
            CustomerForgottenError: it was deleted.
            KeyDamagedError: it can't be unwrapped.
        """
        cipher = self._get(customer).cipher
        if cipher is None:
            raise CustomerForgottenError(customer)
        nonce = os.urandom(NONCE_BYTES)
        return base64.b64encode(nonce + cipher.encrypt(nonce, plain, bound_to)).decode()

    def open(self, customer: CustomerId, box: str, *, bound_to: bytes) -> bytes | None:
        """Decrypt; None if the customer was forgotten.

        Raises:
            KeyMissingError: the customer's key was not fetched.
            KeyDamagedError: it can't be unwrapped.
            InvalidTag: the box is another event's, or damaged.
        """
        cipher = self._get(customer).cipher
        if cipher is None or not box:
            return FORGOTTEN
        raw = binascii.a2b_base64(box)
        return cipher.decrypt(raw[:NONCE_BYTES], raw[NONCE_BYTES:], bound_to)

    def _get(self, customer: CustomerId) -> _Key:
        try:
            self._cached.move_to_end(customer)
            return self._cached[customer]
        except KeyError:
            raise KeyMissingError(customer) from None

    def _remember(
        self, customer: CustomerId, wrapped: bytes | None, cipher: AESGCM | _Damaged | None
    ) -> None:
        self._cached[customer] = _Key(wrapped, cipher, time.monotonic())
        self._cached.move_to_end(customer)
        if len(self._cached) > CACHED_KEYS:
            self._cached.popitem(last=False)

    def _unwrap(self, customer: CustomerId, wrapped: bytes) -> AESGCM:
        nonce, sealed = wrapped[:NONCE_BYTES], wrapped[NONCE_BYTES:]
        return AESGCM(self._master.decrypt(nonce, sealed, customer.encode()))


def read_master_key(path: Path) -> bytes:
    """Read the master key: 32 bytes, Base64, alone in a file.

    Raises:
        MasterKeyWrongError: there is no such file, or it does not hold such a key.
    """
    try:
        key = base64.b64decode(path.read_bytes(), validate=False)
    except OSError as error:
        raise MasterKeyWrongError(f"the master key can't be read: {error}") from error
    except ValueError:
        key = b""
    if len(key) != KEY_BYTES:
        raise MasterKeyWrongError(f"{path} does not hold {KEY_BYTES} bytes in Base64")
    return key
