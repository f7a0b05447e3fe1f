"""Money: integer minor units and an ISO 4217 currency with its own exponent. No floats, ever."""

from dataclasses import dataclass
from typing import NewType

from domain.errors import DomainError

Currency = NewType("Currency", str)

LARGEST_AMOUNT_MINOR = 2**53 - 1
"""The largest integer that every JSON reader keeps exact (RFC 8259, section 6)."""

_CODES_BY_EXPONENT = {
    0: "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF",
    2: """
        AED AFN ALL AMD AOA ARS AUD AWG AZN BAM BBD BDT BMD BND BOB BOV BRL BSD BTN BWP BYN
        BZD CAD CDF CHE CHF CHW CNY COP COU CRC CUP CVE CZK DKK DOP DZD EGP ERN ETB EUR FJD
        FKP GBP GEL GHS GIP GMD GTQ GYD HKD HNL HTG HUF IDR ILS INR IRR JMD KES KGS KHR KPW
        KYD KZT LAK LBP LKR LRD LSL MAD MDL MGA MKD MMK MNT MOP MRU MUR MVR MWK MXN MXV MYR
        MZN NAD NGN NIO NOK NPR NZD PAB PEN PGK PHP PKR PLN QAR RON RSD RUB SAR SBD SCR SDG
        SEK SGD SHP SLE SOS SRD SSP STN SVC SYP SZL THB TJS TMT TOP TRY TTD TWD TZS UAH USD
        USN UYU UZS VED VES WST XAD XCD XCG YER ZAR ZMW ZWG
    """,
    3: "BHD IQD JOD KWD LYD OMR TND",
    4: "CLF UYW",
}

CURRENCY_EXPONENTS = {
    Currency(code): exponent
    for exponent, codes in _CODES_BY_EXPONENT.items()
    for code in codes.split()
}
"""Digits after the point by currency: JPY 0, GBP 2, KWD 3. ISO 4217, without metals and tests."""


@dataclass(frozen=True, slots=True)
class Money:
    """An amount of one currency, in minor units (pence, cents, fils)."""

    amount_minor: int
    currency: Currency

    def __post_init__(self) -> None:
        if self.currency not in CURRENCY_EXPONENTS:
            raise DomainError("unknown_currency", f"{self.currency!r} is not an ISO 4217 code")

    def __str__(self) -> str:
        """Write it for people: `12.34 GBP`, `500 JPY`."""
        exponent = CURRENCY_EXPONENTS[self.currency]
        digits = str(abs(self.amount_minor)).rjust(exponent + 1, "0")
        whole, fraction = digits[: len(digits) - exponent], digits[len(digits) - exponent :]
        sign = "-" if self.amount_minor < 0 else ""
        return f"{sign}{whole}{'.' if fraction else ''}{fraction} {self.currency}"
