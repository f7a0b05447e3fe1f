"""What changed between two documents, for people and for programs.

Rule: applied to the first document, the changes give the second. They are named as in JSON
Patch (RFC 6902: add, remove, replace), places are JSON Pointers (RFC 6901), and each change
says what was there before. Lists of a document only grow or change in place, so they are
compared place by place.
"""

from collections.abc import Iterator, Mapping
from typing import Any, TypeAlias

Change: TypeAlias = dict[str, Any]
"""`op` and `path`; `from` unless it is an add, `to` unless it is a remove. JSON values."""


def difference(before: object, after: object, path: str = "") -> Iterator[Change]:
    """Give the changes that lead from one JSON value to the other."""
    if before is after:
        return  # most of a large document is passed on as it was
    if isinstance(before, Mapping) and isinstance(after, Mapping):
        yield from _members(before, after, path)
    elif isinstance(before, list) and isinstance(after, list):
        yield from _items(before, after, path)
    elif before != after or isinstance(before, bool) is not isinstance(after, bool):
        yield {"op": "replace", "path": path, "from": before, "to": after}


def _members(
    before: Mapping[str, object], after: Mapping[str, object], path: str
) -> Iterator[Change]:
    for name in {**before, **after}:
        place = f"{path}/{name.replace('~', '~0').replace('/', '~1')}"
        if name not in before:
            yield {"op": "add", "path": place, "to": after[name]}
        elif name not in after:
            yield {"op": "remove", "path": place, "from": before[name]}
        else:
            yield from difference(before[name], after[name], place)


def _items(before: list[Any], after: list[Any], path: str) -> Iterator[Change]:
    common = min(len(before), len(after))
    for index in range(common):
        yield from difference(before[index], after[index], f"{path}/{index}")
    for index in range(common, len(after)):
        yield {"op": "add", "path": f"{path}/{index}", "to": after[index]}
    # From the end, so that each place is still there when its turn comes.
    for index in reversed(range(common, len(before))):
        yield {"op": "remove", "path": f"{path}/{index}", "from": before[index]}
