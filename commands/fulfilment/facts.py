"""Read the saga's facts from an order's file."""

from commands.order.file import OrderFile
from domain.fulfilment.facts import Facts


def facts_of(file: OrderFile) -> Facts:
    raise NotImplementedError
