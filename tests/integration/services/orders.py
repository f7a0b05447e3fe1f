"""Orders of customers, as the command API would place them, and what comes back of them."""

from uuid import UUID

from commands.inventory.stock import ListItem, list_item
from commands.order.change import Target
from commands.order.place_own import OwnLine, PlaceOwnOrder, place_own_order
from commands.ports import Ports
from commands.returns.returning import (
    RequestReturn,
    approve_return,
    receive_return,
    request_return,
)
from domain.envelope import Role
from domain.ids import CustomerId, OrderId, ReturnId, Sku
from domain.money import Currency
from domain.personal import Address, PersonalData
from domain.returns.decisions import LineToReceive
from domain.returns.events import ReturnReason
from domain.shipment.pieces import LineRequest
from tests.integration.services.town import asks

GBP = Currency("GBP")


async def stock(ports: Ports, **pieces: int) -> None:
    """List each sku at 2.55 GBP, with so many pieces."""
    for sku, on_hand in pieces.items():
        await list_item(ListItem(Sku(sku), sku.title(), 255, GBP, on_hand=on_hand), asks(), ports)


async def place(
    ports: Ports, card: str = "tok_visa", /, customer: str = "c-1", **pieces: int
) -> OrderId:
    personal = PersonalData("Ada", "ada@example.com", None, Address("GB"), card)
    lines = [OwnLine(Sku(sku), quantity) for sku, quantity in pieces.items()]
    command = PlaceOwnOrder(CustomerId(customer), personal, GBP, lines)
    return (await place_own_order(command, asks(Role.CUSTOMER), ports)).order_id


async def receive(ports: Ports, order_id: OrderId, sku: Sku, pieces: int) -> None:
    """Take back so many pieces in a return of their own."""
    target = Target(order_id)
    command = RequestReturn([LineRequest(sku, pieces)], ReturnReason.UNWANTED, "no")
    answer = await request_return(target, command, asks(), ports)
    return_id = ReturnId(UUID(str(answer.body["return_id"])))
    await approve_return(target, return_id, asks(), ports)
    lines = [LineToReceive(sku, pieces, restock=pieces)]
    await receive_return(target, return_id, lines, asks(), ports)
