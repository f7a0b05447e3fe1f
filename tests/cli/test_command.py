"""The `ordertrail` command, as `./run` makes it."""

import subprocess
import sys
from pathlib import Path

COMMAND = Path(sys.executable).with_name("ordertrail")


def test_no_module_of_the_callers_directory_takes_the_place_of_ours(tmp_path: Path) -> None:
    (tmp_path / "typer.py").write_text("raise SystemExit('not the real one')")
    (tmp_path / "api").mkdir()
    (tmp_path / "api" / "__init__.py").touch()
    done = subprocess.run(
        [COMMAND, "--help"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert "demo" in done.stdout
