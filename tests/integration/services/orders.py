"""Orders of customers, as the command API would place them."""

from commands.inventory.stock import ListItem, list_item
from commands.order.place_own import OwnLine, PlaceOwnOrder, place_own_order
from commands.ports import Ports
from domain.envelope import Role
from domain.ids import CustomerId, OrderId, Sku
from domain.money import Currency
from domain.personal import Address, PersonalData
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
