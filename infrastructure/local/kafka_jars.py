"""Kafka's jars: fetched once from Maven Central by `jgo`, then found through a small cache file.

The list is kept in the user's cache folder and is used while every jar in it exists: so a warm
start neither asks the network nor imports the resolver. jgo writes straight into the user's Maven
repository and trusts what it finds there, so one interrupted download would break it for good: jars
are looked into, and where one is broken everything is fetched once more into a new folder.
Run as a program, this module is the fetching step, which can be killed.
"""

import fcntl
import json
import os
import signal
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from infrastructure.local.errors import LocalError
from infrastructure.local.leash import leashed

KAFKA = "org.apache.kafka:kafka_2.13:4.3.1"
# Kafka speaks to SLF4J 1.7 and brings no binding: without one it logs nothing.
LOGGING = "org.slf4j:slf4j-simple:1.7.36"


class BrokenJarsError(LocalError):
    """The fetch failed, perhaps because of what an earlier one left."""


def class_path() -> Sequence[Path]:
    """Give all jars that Kafka needs; the first time this takes some 15 s and a network.

    Raises:
        LocalError: they can't be fetched.
    """
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    folder = Path(base) / "ordertrail"
    cache = folder / "kafka-4.3.1.jars.json"
    if (known := _remembered(cache)) is not None:
        return known
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "kafka.lock").open("w") as lock:
        # Two platforms that start at once fetch once.
        fcntl.flock(lock, fcntl.LOCK_EX)
        if (known := _remembered(cache)) is not None:
            return known
        jars = _fetch(folder)
        unfinished = cache.with_suffix(".unfinished")
        unfinished.write_text(json.dumps([str(jar) for jar in jars]))
        unfinished.replace(cache)
        return jars


def _remembered(cache: Path) -> Sequence[Path] | None:
    try:
        jars = [Path(name) for name in json.loads(cache.read_text())]
    except (FileNotFoundError, ValueError):
        return None
    return jars if jars and all(jar.is_file() for jar in jars) else None


def _fetch(folder: Path) -> Sequence[Path]:
    try:
        return _resolve({})
    except BrokenJarsError:
        afresh = tempfile.mkdtemp(prefix="kafka-jars-", dir=folder)
        return _resolve({"M2_REPO": f"{afresh}/repository", "JGO_CACHE_DIR": f"{afresh}/jgo"})


def _resolve(places: Mapping[str, str]) -> Sequence[Path]:
    done = subprocess.run(
        leashed([sys.executable, "-m", __name__], signal.SIGKILL),
        env={**os.environ, **places},
        cwd=Path(__file__).parents[2],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
    )
    if done.returncode != 0:
        # Killed means that the platform is being stopped: not again, then.
        kind = BrokenJarsError if done.returncode > 0 else LocalError
        said = done.stderr.strip().splitlines() or [f"exit code {done.returncode}"]
        raise kind(f"Kafka's jars could not be fetched from Maven Central: {said[-1]}")
    jars = [Path(line) for line in done.stdout.splitlines() if line.endswith(".jar")]
    broken = [jar for jar in jars if not zipfile.is_zipfile(jar)]
    if broken or not jars:
        raise BrokenJarsError(f"Kafka's jars were fetched, but are broken: {broken}")
    return jars


if __name__ == "__main__":
    import jgo

    # `.classpath` would leave out the jars that jgo takes for modules.
    for path in jgo.build(f"{KAFKA}+{LOGGING}").all_jars:
        sys.stdout.write(f"{path}\n")
