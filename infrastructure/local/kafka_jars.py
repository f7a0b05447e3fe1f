"""Kafka's jars: fetched once from Maven Central by `jgo`, then found through a small cache file.

The list is kept in the user's cache folder, next to nothing else, and is used while every jar in it
exists: so a warm start neither asks the network nor imports the resolver.
"""

import fcntl
import json
import os
import zipfile
from collections.abc import Sequence
from pathlib import Path

from infrastructure.local.errors import LocalError

KAFKA = "org.apache.kafka:kafka_2.13:4.3.1"
# Kafka speaks to SLF4J 1.7 and brings no binding: without one it logs nothing.
LOGGING = "org.slf4j:slf4j-simple:1.7.36"


def class_path() -> Sequence[Path]:
    """Give all jars that Kafka needs; the first time this takes some 15 s and a network.

    Raises:
        LocalError: they can't be fetched, or one is broken.
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
        jars = _fetch()
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


def _fetch() -> Sequence[Path]:
    import jgo  # noqa: PLC0415 - only the first start on a machine needs the resolver

    try:
        # `.classpath` would leave out the jars that jgo takes for modules.
        jars: list[Path] = [Path(jar) for jar in jgo.build(f"{KAFKA}+{LOGGING}").all_jars]
    except Exception as error:
        raise LocalError(
            f"Kafka's jars could not be fetched from Maven Central: {error}"
        ) from error
    broken = next((jar for jar in jars if not zipfile.is_zipfile(jar)), None)
    if broken is not None:
        raise LocalError(f"{broken} is broken: delete it and what it links to, and start again")
    return jars
