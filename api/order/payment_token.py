"""Payment tokens in requests. Rule: no card data is ever stored, not even sealed.

A card's number in the place of its token is a caller's mistake that would bring the whole log
under the card schemes' rules (PCI DSS 3.3), and that no forgetting makes undone.
"""

import re
from typing import Annotated

from pydantic import AfterValidator
from pydantic_core import PydanticCustomError

from api.http.fields import Identifier128

_SPACED_DIGITS = re.compile(r"\s*\d(?:[\s-]*\d){11,18}\s*")
"""12 to 19 digits (ISO/IEC 7812), as people group them; `\\d` and `\\s` of any script."""


def _no_card_number(token: str) -> str:
    if _SPACED_DIGITS.fullmatch(token) and _passes_luhn([int(c) for c in token if c.isdigit()]):
        raise PydanticCustomError(
            "card_number", "This looks like a card's number; send the token your provider gave you"
        )
    return token


def _passes_luhn(digits: list[int]) -> bool:
    """Whether the last digit checks the others (ISO/IEC 7812-1, annex B)."""
    doubled = [sum(divmod(2 * digit, 10)) for digit in digits[-2::-2]]
    return (sum(digits[-1::-2]) + sum(doubled)) % 10 == 0


PaymentToken = Annotated[Identifier128, AfterValidator(_no_card_number)]
"""What a payment provider calls a card; never the card's number."""
