"""Frames that are wrong, or right in a way that no client shows: does the broker answer, and with what?

Each is sent on a connection of its own; the outcome is `closed`, `silent` (nothing in a second) or what came back.
"""

import socket
import struct


def text(value):
    data = value.encode()
    return struct.pack(">h", len(data)) + data


def header(api, version, flexible=False, client="wire", tags=b"\0"):
    head = struct.pack(">hhi", api, version, 77) + (struct.pack(">h", -1) if client is None else text(client))
    return head + (tags if flexible else b"")


def framed(body, size=None):
    return struct.pack(">i", len(body) if size is None else size) + body


NOTHING = struct.pack(">i", 0)  # An empty array.
UNKNOWN_TAG = b"\x01\xc8\x01\x03abc"  # One tagged field: number 200, three bytes.

FRAMES = {
    "negative size": framed(b"", -1),
    "size 0": framed(b""),
    "size 3": framed(b"\0\x12\0"),
    "size above the limit": framed(b"\0\x12\0\0", 104_857_601),
    "HTTP": b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
    "TLS hello": bytes.fromhex("16030100c4010000c00303") + bytes(190),
    "unknown key": framed(header(999, 0)),
    "negative key": framed(header(-1, 0)),
    "key of a controller": framed(header(52, 0, True)),
    "Metadata of a later version": framed(header(3, 99, True)),
    "Metadata of a negative version": framed(header(3, -1)),
    "Fetch of an old version": framed(header(1, 0) + bytes(16)),
    "CreateTopics of an old version": framed(header(19, 0) + bytes(8)),
    "Produce 2": framed(header(0, 2) + struct.pack(">hi", -1, 1000) + NOTHING),
    "ApiVersions of a later version": framed(header(18, 99, True)),
    "ApiVersions of a later version, body unknown": framed(header(18, 99, True) + b"\xff" * 30),
    "ApiVersions 0": framed(header(18, 0)),
    "ApiVersions 0, no client id": framed(header(18, 0, client=None)),
    "ApiVersions 0, empty client id": framed(header(18, 0, client="")),
    "ApiVersions 0, bytes behind": framed(header(18, 0) + b"behind"),
    "ApiVersions 3, tag in the header": framed(header(18, 3, True, tags=UNKNOWN_TAG) + b"\x05wire\x021\0"),
    "ApiVersions 3, tag in the body": framed(header(18, 3, True) + b"\x05wire\x021" + UNKNOWN_TAG),
    "ApiVersions 3, no body": framed(header(18, 3, True)),
    "client id that is no UTF-8": framed(struct.pack(">hhih", 3, 1, 77, 2) + b"\xff\xfe" + NOTHING),
    "client id longer than the frame": framed(struct.pack(">hhih", 3, 1, 77, 500) + b"x"),
    "client id of length -2": framed(struct.pack(">hhih", 3, 1, 77, -2)),
    "Metadata 1": framed(header(3, 1) + NOTHING),
    "Metadata 1, bytes behind": framed(header(3, 1) + NOTHING + b"behind"),
    "Metadata 1, cut in the body": framed(header(3, 1) + b"\0\0"),
    "Metadata 1, array of two billion": framed(header(3, 1) + b"\x7f\xff\xff\xff"),
    "Metadata 1, array of -2": framed(header(3, 1) + b"\xff\xff\xff\xfe"),
    "Metadata 1, name longer than the frame": framed(header(3, 1) + struct.pack(">i", 1) + b"\x7f\xff"),
    "Metadata 12, array of two billion": framed(header(3, 12, True) + b"\xff\xff\xff\xff\x07"),
    "Metadata 12, varint of six bytes": framed(header(3, 12, True) + b"\xff\xff\xff\xff\xff\x01\0\0\0"),
    "Metadata 12, tag in the body": framed(header(3, 12, True) + b"\x01\0\0" + UNKNOWN_TAG),
    "Metadata 12, tag twice": framed(header(3, 12, True) + b"\x01\0\0" + b"\x02\xc8\x01\0\xc8\x01\0"),
    "Metadata 12, million tags": framed(header(3, 12, True) + b"\x01\0\0" + b"\xc0\x84\x3d"),
    "the request that aborts a codec": framed(header(0, 9, True) + bytes.fromhex("00ffff000003e8ffffffff07")),
}
# Sent in one piece: the answers come in order.
PIPELINED = framed(header(18, 0)) + framed(header(3, 1) + NOTHING) + framed(header(18, 0, client=None))


def outcomes(port):
    found = {name: outcome(port, frame) for name, frame in FRAMES.items()}
    with socket.create_connection(("127.0.0.1", port), timeout=2) as connection:
        connection.sendall(PIPELINED)
        found["three in one piece"] = " ".join(describe(frame(connection)) for _ in range(3))
    with socket.create_connection(("127.0.0.1", port), timeout=2) as connection:
        for byte in FRAMES["ApiVersions 0"]:
            connection.sendall(bytes([byte]))
        found["byte by byte"] = describe(frame(connection))
    return found


def outcome(port, data):
    with socket.create_connection(("127.0.0.1", port), timeout=1) as connection:
        try:
            connection.sendall(data)
            return describe(frame(connection))
        except TimeoutError:
            return "silent"
        except (EOFError, OSError):
            return "closed"


def frame(connection):
    size = struct.unpack(">i", receive(connection, 4))[0]
    return receive(connection, size)


def receive(connection, size):
    data = b""
    while len(data) < size:
        more = connection.recv(size - len(data))
        if not more:
            raise EOFError
        data += more
    return data


def describe(answer):
    """The correlation id and what the first two bytes behind it say."""
    correlation, first = struct.unpack_from(">ih", answer)
    return f"answered {correlation}, then {first}"
