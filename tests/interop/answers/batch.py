"""Record batches (magic 2) made by hand, so that they can also be wrong."""

import base64
import struct

TABLE = []
for byte in range(256):
    crc = byte
    for _ in range(8):
        crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    TABLE.append(crc)


def crc32c(data):
    crc = 0xFFFFFFFF
    for byte in data:
        crc = TABLE[(crc ^ byte) & 0xFF] ^ crc >> 8
    return crc ^ 0xFFFFFFFF


def varint(value):
    value = (value << 1) ^ (value >> 63)
    out = bytearray()
    while True:
        part, value = value & 0x7F, value >> 7 & (1 << 57) - 1
        out.append(part | 0x80 if value else part)
        if not value:
            return bytes(out)


def record(delta, value, time_delta=0):
    body = b"\0" + varint(time_delta) + varint(delta) + varint(-1) + varint(len(value)) + value + varint(0)
    return varint(len(body)) + body


def batch(values=(b"a", b"b", b"c"), time=1_700_000_000_000, producer=-1, epoch=-1, sequence=-1, attributes=0, magic=2,
          count=None, last_delta=None, bad_crc=False, base=0, body=None):
    """Base64 of one batch; the keywords make it lie."""
    if body is None:
        body = b"".join(record(delta, value) for delta, value in enumerate(values))
    count = len(values) if count is None else count
    last_delta = len(values) - 1 if last_delta is None else last_delta
    tail = struct.pack(">hiqqqhii", attributes, last_delta, time, time, producer, epoch, sequence, count) + body
    crc = crc32c(tail) ^ (1 if bad_crc else 0)
    data = struct.pack(">qiibI", base, 4 + 1 + 4 + len(tail), 0, magic, crc) + tail
    return base64.b64encode(data).decode()


def joined(*batches):
    return base64.b64encode(b"".join(base64.b64decode(one) for one in batches)).decode()
