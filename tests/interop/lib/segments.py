"""Reads the batch headers of a partition's segments straight from the data directory: what really was stored."""

import struct
from pathlib import Path

CODECS = ["none", "gzip", "snappy", "lz4", "zstd"]


def partition_dir(data, topic, partition):
    # Kafka's are a level deeper. Nothing is walked through: another cell's topic may be going.
    found = [path for place in ("", "*/") for path in Path(data).glob(f"{place}{topic}-{partition}") if path.is_dir()]
    if len(found) != 1:
        raise RuntimeError(f"{len(found)} directories of {topic}-{partition} below {data}")
    return found[0]


def logs(data, topic, partition):
    return sorted(partition_dir(data, topic, partition).glob("*.log"))


def contents(data):
    """{partition: what its segments hold, put together} of every partition that holds something."""
    found = {}
    for path in sorted(Path(data).glob("*-*/*.log")):
        found[path.parent.name] = found.get(path.parent.name, b"") + path.read_bytes()
    return {name: log for name, log in found.items() if log}


def batches(data, topic, partition):
    """(base offset, codec, producer id, records) of each batch."""
    for path in logs(data, topic, partition):
        log = path.read_bytes()
        at = 0
        while at + 61 <= len(log):
            base, size = struct.unpack_from(">qi", log, at)
            if size <= 0 or at + 12 + size > len(log):
                break
            attributes = struct.unpack_from(">h", log, at + 21)[0]
            producer, count = struct.unpack_from(">q", log, at + 43)[0], struct.unpack_from(">i", log, at + 57)[0]
            yield base, CODECS[attributes & 7], producer, count
            at += 12 + size
