"""`./run check`: everything about the code that can be checked without running it."""

import subprocess
import sys
from pathlib import Path

BIN = Path(sys.executable).parent
CHECKS = {
    "lint": ["ruff", "check"],
    "format": ["ruff", "format", "--check"],
    "types": ["mypy"],
    "imports": ["lint-imports"],
}


def main() -> int:
    """Run every check, also after one has failed; the exit code is 1 if any did."""
    failed = []
    for name, (program, *arguments) in CHECKS.items():
        sys.stdout.write(f"== {name}: {program} {' '.join(arguments)}\n")
        sys.stdout.flush()
        if subprocess.run([BIN / program, *arguments], check=False).returncode:
            failed.append(name)
    sys.stdout.write(f"== {'failed: ' + ', '.join(failed) if failed else 'all checks passed'}\n")
    return bool(failed)


if __name__ == "__main__":
    sys.exit(main())
