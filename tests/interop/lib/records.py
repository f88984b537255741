"""The records that are produced and looked for: deterministic, and as awkward as the client can express."""

import base64
import json
import random

# 2023-11-14T22:13:20Z: old enough that a broker which stamps its own time is found out.
FIRST_TIME = 1_700_000_000_000
ALL = frozenset({"null_key", "null_value", "null_both", "empty", "binary", "headers", "null_header", "repeated_header", "time"})
WORDS = "offset segment leader epoch quorum fetch produce index batch record snapshot voter term".split()


def make(name, count=150, can=ALL):
    """`count` records, different for each `name`, using only what the client `can` express."""
    rng = random.Random(name)
    records = []
    for place in range(count):
        text = " ".join(rng.choices(WORDS, k=rng.randint(1, 60)))
        key, value = f"key-{place % 17}".encode(), f"{name}-{place} {text}".encode()
        headers = []
        if place % 5 == 1:
            key = None
        if place % 31 == 7:
            value = None
        if key is None and value is None and "null_both" not in can:
            key = b"no-value"
        if place % 23 == 3:
            key = b""
        if place % 37 == 11:
            value = b""
        if place % 13 == 5:
            value = rng.randbytes(rng.randint(1, 3000))
        if place % 50 == 49:
            # Above snappy's 32 KiB chunk and lz4's 64 KiB block, still below a batch.
            value = (" ".join(rng.choices(WORDS, k=12_000))).encode()
        if place % 3 == 0:
            headers = [["trace", f"t-{place}".encode()], ["kind", b"interop"]]
        if place % 9 == 0:
            headers += [["empty", b""]]
        if place % 12 == 0 and "null_header" in can:
            headers += [["nothing", None]]
        if place % 15 == 0 and "repeated_header" in can:
            headers += [["trace", b"again"]]
        if "one_header" in can:
            headers = [["trace", b"kcat"]]
        # Ascending in steps, some equal, every 40th one step back.
        time = FIRST_TIME + (place // 2) * 1000 - (5000 if place % 40 == 39 else 0)
        records.append(plain(can, place, key, value, headers, time))
    return records


def plain(can, place, key, value, headers, time):
    """The record without what the client cannot say."""
    if key is None and "null_key" not in can or key == b"" and "empty" not in can:
        key = f"key-{place}".encode()
    if value is None and "null_value" not in can or value == b"" and "empty" not in can:
        value = f"value-{place}".encode()
    if "binary" not in can and value is not None:
        value = base64.b64encode(value) if not value.isascii() else value
    return {
        "k": encode(key),
        "v": encode(value),
        "h": [[name, encode(data)] for name, data in headers] if can & {"headers", "one_header"} else [],
        "t": time if "time" in can else None,
    }


def write(path, records):
    path.write_text("".join(json.dumps(record) + "\n" for record in records))


def read(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def difference(wanted, got, between=None, first_offset=0, fields="kvht"):
    """None if `got` is `wanted`, else what differs first. `between` bounds the times that the client did not set."""
    for place, (want, have) in enumerate(zip(wanted, got)):
        at = first_offset + place
        if have["o"] != at:
            return f"offset {have['o']} where {at} was due"
        for field in fields:
            if field == "t" and want["t"] is None:
                if between and not between[0] <= have["t"] <= between[1]:
                    return f"offset {at}: time {have['t']} is not in {between}"
            elif want[field] != have[field]:
                return f"offset {at}: {field} is {clip(have[field])}, produced was {clip(want[field])}"
    if len(wanted) != len(got):
        return f"{len(got)} records where {len(wanted)} were due"
    return None


def clip(value):
    text = json.dumps(value)
    return text if len(text) < 80 else text[:77] + "..."


def encode(data):
    return None if data is None else base64.b64encode(data).decode()
