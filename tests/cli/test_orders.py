"""Which order a command means, and what it says of one that can't be read."""

import pytest
import typer

from api.cli.orders import told_if_unreadable
from commands.ports import StreamUnreadableError


def test_of_an_order_that_can_not_be_read_it_is_said_where_to_look(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(typer.Exit) as ended, told_if_unreadable("7K3M-92QX"):
        raise StreamUnreadableError("order.eaten.v1 at position 2: UnknownEventTypeError")
    assert ended.value.exit_code == 1
    assert capsys.readouterr().err == (
        "this version can't read 7K3M-92QX: order.eaten.v1 at position 2: UnknownEventTypeError;"
        " see `dead-letters show 7K3M-92QX`,"
        " and `audit verify --full` for whether the log is what it was\n"
    )
