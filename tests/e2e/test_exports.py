"""What an auditor takes home from a running platform."""

import csv
import json
from pathlib import Path

from tests.consistency import stored_log
from tests.live_platform import LivePlatform
from tests.shop import Shop, an_order


def test_an_export_is_what_was_asked_for_and_without_personal_data(
    platform: LivePlatform, shop: Shop, tmp_path: Path
) -> None:
    placed = shop.place(an_order("c-exported"))
    last = shop.cancel(placed["order_id"], {"reason": "=1+1"})
    file = tmp_path / "order.csv"
    number = placed["order_number"].lower()
    done = platform.run(
        "audit", "export", "--format", "csv", "--order", number, "--output", str(file)
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "2 events exported\n")
    with file.open(newline="") as text:
        rows = list(csv.DictReader(text))
    assert [int(row["position"]) for row in rows] == [placed["position"], last["position"]]
    assert rows[1]["reason"] == "[sealed]"
    assert json.loads(rows[0]["data"])["personal"] == "[sealed]"
    assert list(tmp_path.iterdir()) == [file]

    opened = platform.run(
        "audit", "export", "--format", "jsonl", "--customer", "c-exported", "--personal"
    ).stdout
    assert "ada@example.com" in opened
    assert "tok_visa" not in opened

    table = platform.run("audit", "export", "--format", "csv", "--order", number, "--personal")
    assert [row["reason"] for row in csv.DictReader(table.stdout.splitlines())] == ["", "'=1+1"]

    own = json.loads(platform.run("export-customer", "c-exported").stdout)
    assert own["orders"][0]["document"]["customer"]["email"] == "ada@example.com"
    assert [item["version"] for item in own["orders"][0]["history"]] == [1, 2]


def test_an_export_of_everything_is_the_log(platform: LivePlatform, shop: Shop) -> None:
    shop.place()
    lines = platform.run("audit", "export", "--format", "jsonl").stdout.splitlines()
    log = stored_log(platform.settings)
    assert [json.loads(line)["position"] for line in lines] == [entry.position for entry in log]
    nothing = platform.run("audit", "export", "--format", "csv", "--to", "2010-12-01")
    assert (nothing.returncode, nothing.stderr) == (0, "0 events exported\n")
    assert len(nothing.stdout.splitlines()) == 1


def test_what_makes_no_sense_is_said(platform: LivePlatform, tmp_path: Path) -> None:
    for arguments in (
        ("--customer", "nobody"),
        ("--order", "0000-0000"),
        ("--from", "yesterday"),
        ("--output", str(tmp_path / "no" / "file")),
    ):
        done = platform.run("audit", "export", "--format", "csv", *arguments)
        assert done.returncode != 0
        assert "Traceback" not in done.stderr
