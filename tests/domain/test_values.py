"""Money, currencies, countries and order numbers against their standards."""

import pycountry
import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.countries import COUNTRIES
from domain.errors import DomainError
from domain.ids import ORDER_NUMBER_ALPHABET, format_order_number
from domain.money import CURRENCY_EXPONENTS, Currency, Money

NO_CURRENCIES = {
    *("XAU", "XAG", "XPT", "XPD", "XTS", "XXX", "XBA", "XBB", "XBC", "XBD", "XDR", "XSU", "XUA"),
}
"""Metals, bond units, accounts between banks, tests and "no currency" have an ISO 4217 code too."""


def test_the_countries_are_those_of_iso_3166() -> None:
    assert {country.alpha_2 for country in pycountry.countries} == COUNTRIES


def test_the_currencies_are_those_of_iso_4217() -> None:
    official = {currency.alpha_3 for currency in pycountry.currencies}
    assert official - NO_CURRENCIES == set(CURRENCY_EXPONENTS)


@pytest.mark.parametrize(
    ("amount", "currency", "text"),
    [
        (1234, "GBP", "12.34 GBP"),
        (5, "GBP", "0.05 GBP"),
        (-5, "GBP", "-0.05 GBP"),
        (500, "JPY", "500 JPY"),
        (1, "KWD", "0.001 KWD"),
    ],
)
def test_money_is_written_with_its_own_exponent(amount: int, currency: str, text: str) -> None:
    assert str(Money(amount, Currency(currency))) == text


def test_money_of_no_currency_is_refused() -> None:
    with pytest.raises(DomainError):
        Money(1, Currency("XXX"))


@given(st.integers(0, (1 << 40) - 1))
def test_an_order_number_can_be_read_out_on_the_phone(draw: int) -> None:
    number = format_order_number(draw)
    assert len(number) == 9
    assert set(number) <= {*ORDER_NUMBER_ALPHABET, "-"}
    assert not set(number) & set("0O1I")


@given(st.integers(0, (1 << 40) - 1), st.integers(0, (1 << 40) - 1))
def test_two_draws_never_give_one_number(one: int, other: int) -> None:
    assert (format_order_number(one) == format_order_number(other)) == (one == other)


@pytest.mark.parametrize("draw", [-1, 1 << 40])
def test_a_draw_out_of_range_is_refused(draw: int) -> None:
    with pytest.raises(ValueError, match="40 bits"):
        format_order_number(draw)
