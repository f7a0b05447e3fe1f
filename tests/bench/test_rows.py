"""Every row can be measured: at the least effort, in one stack, and whatever comes out."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from importlib import import_module

import pytest

from tests.bench.__main__ import ROWS
from tests.bench.report import as_document, markdown
from tests.bench.rounds import Effort
from tests.bench.stack import Stack

LEAST = Effort(rounds=1, seconds=0.2, scale=0.02)


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with Stack(tmp_path_factory.mktemp("bench")) as stack:
        yield stack


@pytest.mark.real
@pytest.mark.parametrize("name", ROWS)
def test_row_gives_a_ratio_to_each_of_its_floors(name: str, stack: Stack) -> None:
    rows = import_module(f"tests.bench.{name}").measure(stack, LEAST)
    assert rows
    for row in rows:
        assert row.bars
        for bar in row.bars:
            assert all(ratio >= 0 for ratio in row.ratios(bar.floor))
    document = json.loads(json.dumps(as_document(rows, LEAST, datetime.now(UTC), 1.0)))
    assert f"| {rows[0].name} |" in markdown(document)
