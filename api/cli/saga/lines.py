"""How `saga` writes orders, steps and tasks: a line each, the same wherever one is shown."""

from datetime import UTC
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from datetime import datetime

    from domain.fulfilment.state import StepRecord
    from infrastructure.postgres.tasks import Task


def order_line(body: Any) -> str:
    """Write an order's document: what it waits for and until when, or where it is stuck."""
    saga = body["fulfilment"]
    line = f"{body['order_id']}  {body['order_number']}  {body['status']}"
    if saga["waiting_for"] is not None:
        line += f"  waits for {saga['waiting_for']}"
    if saga["stuck"] is not None:
        where = f"{saga['step']} {saga['subject'] or ''}".rstrip()
        return f"{line}  STUCK at {where}: {saga['stuck']}"
    return f"{line} until {saga['due_at']}" if saga["due_at"] is not None else line


def step_line(record: "StepRecord", moved_at: "datetime") -> str:
    """Write a step as it is since `moved_at`, and why."""
    line = f"{utc(moved_at)}  {step_name(record)}: {record.condition}"
    line += f", attempt {record.attempt}" if record.attempt > 1 else ""
    line += f", asked {record.asked} times" if record.asked > 1 else ""
    line += ", overdue" if record.timed_out and record.is_live else ""
    return f"{line} ({record.reason})" if record.reason else line


def step_name(record: "StepRecord") -> str:
    return f"{record.step} {record.subject}".rstrip()


def task_line(task: "Task") -> str:
    """Write a task: its queue, which call, or the log position of which event, and what failed."""
    which = task.key.removeprefix(str(task.order_id)).removeprefix("/")
    name = f"{task.queue} {which}".rstrip()
    if task.problem is None:
        return name
    return f"{name}: tried {task.tries} times: {task.problem}"


def utc(time: "datetime") -> str:
    """Write a time, wherever the database or we are."""
    return f"{time.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"
