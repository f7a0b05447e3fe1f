"""The `ordertrail` command: everything that a person or the supervisor starts.

Each module of commands registers its own; what they need they import when they run, so that help
is instant. Rule: a fault that can be expected is one plain message and exit code 1, no traceback.
"""

import errno
import sys

import typer

from api.cli import (
    audit,
    audit_history,
    customer_export,
    dead_letters,
    forgetting,
    importing,
    platform,
    rebuilding,
    saga,
    services,
    store,
    tokens,
)
from api.cli.demo import command as demo
from infrastructure.local.errors import LocalError

HELP = """Ordertrail: an event-sourced order tracking platform.

Start with `demo`, or with `up` and then `import`. Everything is kept in .ordertrail
(ORDERTRAIL_HOME); the platform answers on port 8000 (ORDERTRAIL_PORT).

For developers, `./run` has these too: test, check, chaos, bench.
"""

app = typer.Typer(
    name="ordertrail",
    help=HELP,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
for module in (
    demo,
    platform,
    importing,
    store,
    rebuilding,
    saga,
    audit_history,
    audit,
    customer_export,
    forgetting,
    dead_letters,
    tokens,
    services,
):
    module.register(app)


def expected_faults() -> tuple[type[Exception], ...]:
    """Name what a command may run into outside of itself; asked for only once one has."""
    import psycopg
    import pydantic
    import redis
    from redis.exceptions import RedisClusterException

    from commands.ports import StreamUnreadableError
    from domain.errors import UnavailableError
    from infrastructure.audit.seals import BadKeyError
    from infrastructure.event_store.order_reader import UnreadableEventError
    from infrastructure.event_store.sealing import MasterKeyWrongError
    from infrastructure.postgres.migrate import MigrationError

    return (
        UnavailableError,
        UnreadableEventError,
        StreamUnreadableError,
        MigrationError,
        BadKeyError,
        MasterKeyWrongError,
        psycopg.OperationalError,
        redis.RedisError,
        RedisClusterException,
        pydantic.ValidationError,
    )


def main() -> int:
    """Run the command line; give the exit code where typer does not exit itself."""
    try:
        app(prog_name="ordertrail")
    except LocalError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    except expected_faults() as error:
        sys.stderr.write(f"{error}\n")
        return 1
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
        sys.stderr.write(f"the disk is full: {error.filename or error.strerror}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
