"""Personal data: kept apart in every payload, so that it can be sealed and forgotten."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Address:
    """A postal address. Only `country` (ISO 3166-1 alpha-2) is always known."""

    country: str
    name: str | None = None
    line1: str | None = None
    line2: str | None = None
    city: str | None = None
    region: str | None = None
    postal_code: str | None = None


@dataclass(frozen=True, slots=True)
class PersonalData:
    """What identifies a person. It is stored only as ciphertext under that customer's key."""

    name: str | None = None
    email: str | None = None
    phone: str | None = None
    shipping_address: Address | None = None
    payment_token: str | None = None


SEALED = PersonalData(name="[sealed]")
"""What a reader without the right to personal data gets instead of it."""
FORGOTTEN = PersonalData(name="[forgotten]")
"""What everybody gets once the customer was forgotten."""
