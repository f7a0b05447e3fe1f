"""The bodies that callers send. Shapes only: the rules of an order are the domain's."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from api.http.fields import (
    CountryCode,
    CurrencyCode,
    Email,
    Identifier64,
    Identifier128,
    Moment,
    PersonName,
    Phone,
    Strict,
    Text200,
    Text500,
)
from api.order.payment_token import PaymentToken
from commands.order.cancel import CancelOrder
from commands.order.place import PlaceOrder
from commands.order.place_own import OwnLine, PlaceOwnOrder
from domain.ids import CustomerId, OrderId, Sku
from domain.money import Currency
from domain.order.decisions import MOST_LINES, LineToCancel
from domain.order.events import CancelReason, OrderLine, PaymentMethod
from domain.personal import Address, PersonalData


class CustomerBody(Strict):
    id: Identifier128
    name: PersonName | None = None
    email: Email | None = None
    phone: Annotated[Phone | None, Field(description="E.164, such as +441632960000")] = None


class AddressBody(Strict):
    name: Text200 | None = None
    line1: Text200 | None = None
    line2: Text200 | None = None
    city: Text200 | None = None
    region: Text200 | None = None
    postal_code: Text200 | None = None
    country: Annotated[CountryCode, Field(description="ISO 3166-1 alpha-2")]

    def to_address(self) -> Address:
        return Address(**self.model_dump())


class LineBody(Strict):
    sku: Identifier64
    name: Text200
    quantity: Annotated[int, Field(description="From 1 to 1,000,000")]
    unit_price_minor: Annotated[int, Field(description="Of one piece, in minor units")]


class PlaceOrderBody(Strict):
    """An order. Amounts are integers in minor units of its currency (pence, cents, fils)."""

    external_reference: Annotated[
        Identifier128 | None, Field(description="The shop's own number, unique per client")
    ] = None
    currency: Annotated[CurrencyCode, Field(description="ISO 4217")]
    customer: CustomerBody
    lines: Annotated[list[LineBody], Field(description="From 1 to 1,000")]
    shipping_minor: int = 0
    tax_minor: int = 0
    discount_minor: int = 0
    shipping_address: AddressBody | None = None
    payment_token: PaymentToken | None = None
    payment: Annotated[
        Literal["settled_elsewhere"] | None, Field(description="Instead of a payment_token")
    ] = None
    fulfilment: Annotated[
        Literal["ordertrail", "elsewhere"] | None,
        Field(
            description="Who sees to stock, money and parcels; by default we do where there is a "
            "payment_token. Elsewhere: the order is only told here, and nothing is charged"
        ),
    ] = None
    placed_at: Annotated[
        Moment | None, Field(description="When it was taken, if that was elsewhere; not in future")
    ] = None

    @model_validator(mode="after")
    def _paid_one_way(self) -> Self:
        if (self.payment_token is None) == (self.payment is None):
            raise PydanticCustomError(
                "payment", "Exactly one of payment_token and payment is needed"
            )
        return self

    def to_command(self) -> PlaceOrder:
        address = self.shipping_address
        return PlaceOrder(
            customer_id=CustomerId(self.customer.id),
            external_reference=self.external_reference,
            personal=PersonalData(
                name=self.customer.name,
                email=self.customer.email,
                phone=self.customer.phone,
                shipping_address=None if address is None else address.to_address(),
                payment_token=self.payment_token,
            ),
            currency=Currency(self.currency),
            lines=[
                OrderLine(
                    line_number=number,
                    sku=Sku(line.sku),
                    name=line.name,
                    quantity=line.quantity,
                    unit_price_minor=line.unit_price_minor,
                )
                for number, line in enumerate(self.lines, start=1)
            ],
            shipping_minor=self.shipping_minor,
            tax_minor=self.tax_minor,
            discount_minor=self.discount_minor,
            payment=PaymentMethod.TOKEN
            if self.payment is None
            else PaymentMethod.SETTLED_ELSEWHERE,
            placed_at=self.placed_at,
            fulfilled_here=self._is_ours(),
        )

    def _is_ours(self) -> bool:
        if self.fulfilment is None:
            return self.payment_token is not None
        return self.fulfilment == "ordertrail"


class OwnCustomerBody(Strict):
    """Whose order it is stands in the token."""

    name: PersonName | None = None
    email: Email | None = None
    phone: Annotated[Phone | None, Field(description="E.164, such as +441632960000")] = None


class OwnLineBody(Strict):
    sku: Identifier64
    quantity: Annotated[int, Field(description="From 1 to 1,000,000")]
    unit_price_minor: Annotated[
        int | None, Field(description="What you were shown: refused if it costs something else")
    ] = None


class PlaceOwnOrderBody(Strict):
    """A customer's own order, at the catalog's prices."""

    currency: Annotated[CurrencyCode, Field(description="ISO 4217")]
    customer: OwnCustomerBody = OwnCustomerBody()
    lines: Annotated[list[OwnLineBody], Field(max_length=MOST_LINES, description="From 1 to 1,000")]
    shipping_address: AddressBody | None = None
    payment_token: PaymentToken

    def to_own_command(self, customer_id: CustomerId) -> PlaceOwnOrder:
        address = self.shipping_address
        return PlaceOwnOrder(
            customer_id=customer_id,
            personal=PersonalData(
                name=self.customer.name,
                email=self.customer.email,
                phone=self.customer.phone,
                shipping_address=None if address is None else address.to_address(),
                payment_token=self.payment_token,
            ),
            currency=Currency(self.currency),
            lines=[
                OwnLine(Sku(line.sku), line.quantity, line.unit_price_minor) for line in self.lines
            ],
        )


class LineToCancelBody(Strict):
    sku: Identifier64
    quantity: int
    line_number: Annotated[
        int | None, Field(description="From 1; needed where the order has the sku twice")
    ] = None


class CancellationBody(Strict):
    """A cancellation of the whole order, or of the pieces that `lines` names."""

    reason: Annotated[Text500, Field(min_length=1)]
    reason_code: Annotated[
        Literal["customer", "declined", "fraud", "inventory", "staff", "other"],
        Field(description="The reason in a word that can be counted"),
    ] = "other"
    lines: Annotated[list[LineToCancelBody], Field(max_length=MOST_LINES)] | None = None
    cancelled_at: Annotated[
        Moment | None,
        Field(description="When it was cancelled, if that was elsewhere: a service may say so"),
    ] = None

    def to_command(
        self, order_id: OrderId, *, owner: CustomerId | None, if_position: int | None
    ) -> CancelOrder:
        return CancelOrder(
            order_id=order_id,
            reason=self.reason,
            reason_code=CancelReason(self.reason_code),
            cancelled_at=self.cancelled_at,
            lines=None
            if self.lines is None
            else [
                LineToCancel(
                    sku=Sku(line.sku), quantity=line.quantity, line_number=line.line_number
                )
                for line in self.lines
            ],
            owner=owner,
            if_position=if_position,
        )
