"""What may be changed of an order without cancelling it: fewer pieces, another address."""

from collections.abc import Sequence

from commands.order.change import Decision, Target, change_order
from commands.order.file import OrderFile
from commands.ports import Answer, Ports, Request
from domain.order import decisions
from domain.order.decisions import LineToRevise
from domain.order.state import Order
from domain.personal import Address, PersonalData
from domain.shipment.status import parcels_of


async def revise_order(
    target: Target, lines: Sequence[LineToRevise], reason: str, request: Request, ports: Ports
) -> Answer:
    """Ask for fewer pieces. Raises as `change_order`, and the rules of `decisions.revise`."""

    def decide(order: Order, file: OrderFile) -> Decision:
        parcels = parcels_of(file.shipments.state)
        events = decisions.revise(order, parcels, lines=lines, reason=reason)
        return Decision(file.order, events, read=[file.shipments])

    return await change_order(target, decide, request, ports)


async def change_address(
    target: Target, address: Address, request: Request, ports: Ports
) -> Answer:
    """Have it sent elsewhere. Raises as `change_order`, and `decisions.change_address`."""

    def decide(order: Order, file: OrderFile) -> Decision:
        parcels = parcels_of(file.shipments.state)
        events = decisions.change_address(
            order, parcels, personal=PersonalData(shipping_address=address)
        )
        return Decision(file.order, events, read=[file.shipments])

    return await change_order(target, decide, request, ports)
