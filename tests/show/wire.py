"""What the shows ask of nodes: a client that knows a node and a partition, and the words of `ottla` itself."""

import base64
import json
import socket
import struct
import subprocess
import sys
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
for part in ("lib", "answers"):
    sys.path.insert(0, str(HERE.parent / "interop" / part))

from batch import batch  # noqa: E402
from broker import receive  # noqa: E402
from cluster import Reader, read_metadata  # noqa: E402

PATIENCE = 60
NONE, NOT_LEADER, TIMED_OUT, NOT_ENOUGH_REPLICAS, NOT_ENOUGH_REPLICAS_AFTER_APPEND = 0, 6, 7, 19, 20
NAMES = {0: "success", 1: "OFFSET_OUT_OF_RANGE", 3: "UNKNOWN_TOPIC_OR_PARTITION", 5: "LEADER_NOT_AVAILABLE",
         6: "NOT_LEADER_OR_FOLLOWER", 7: "REQUEST_TIMED_OUT", 19: "NOT_ENOUGH_REPLICAS",
         20: "NOT_ENOUGH_REPLICAS_AFTER_APPEND", 56: "KAFKA_STORAGE_ERROR", 74: "FENCED_LEADER_EPOCH"}


def named(code):
    return NAMES.get(code, f"error {code}")


class Client:
    """A connection to one node. What is sent is answered in order."""

    def __init__(self, address, timeout=PATIENCE):
        self.socket = socket.create_connection(address, timeout=timeout)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def close(self):
        self.socket.close()

    def send(self, key, version, body):
        request = struct.pack(">hhih", key, version, 9, -1) + body
        self.socket.sendall(struct.pack(">i", len(request)) + request)

    def answer(self):
        data = receive(self.socket, struct.unpack(">i", receive(self.socket, 4))[0])
        reader = Reader(data)
        reader.take("i")
        return reader

    def send_produce(self, topic, partition, values, acks=-1, timeout=PATIENCE, **producer):
        """Produce v3 of one batch; `producer`, `epoch` and `sequence` make it an idempotent one."""
        records = base64.b64decode(batch([value.encode() for value in values], **producer))
        self.send(0, 3, struct.pack(">hhi", -1, acks, int(timeout * 1000)) + on(topic, partition) + struct.pack(
            ">i", len(records)) + records)

    def produced(self):
        """(error code, base offset) of the next answer."""
        reader = self.answer()
        reader.take("i"), reader.text(), reader.take("ii")
        return reader.take("hq")

    def produce(self, topic, partition, values, **more):
        self.send_produce(topic, partition, values, **more)
        return self.produced()

    def fetch(self, topic, partition, offset, wait_ms=0, min_bytes=1):
        """(error code, high watermark, [(offset, value)]) of a Fetch v4."""
        ask = struct.pack(">iiiib", -1, wait_ms, min_bytes, 8 << 20, 0) + on(topic, partition) + struct.pack(">qi", offset, 4 << 20)
        self.send(1, 4, ask)
        reader = self.answer()
        reader.take("ii"), reader.text(), reader.take("i")
        _, error, high_watermark, _ = reader.take("ihqq")
        for _ in range(max(reader.take("i"), 0)):
            reader.take("qq")
        size = reader.take("i")
        found = read_batches(reader.data[reader.at:reader.at + max(size, 0)])
        return error, high_watermark, [(at, value) for at, value in found if at >= offset]

    def leader(self, topic, partition):
        """The number of the leader as this node says, or None."""
        self.send(3, 1, struct.pack(">ih", 1, len(topic)) + topic.encode())
        reader = self.answer()
        leader = read_metadata(reader.data[reader.at:])[1].get(partition, -1)
        return leader if leader > 0 else None

    def try_config(self, topic, key, value):
        """The error code of an IncrementalAlterConfigs v0 that only validates: the controller has to answer it."""
        config = struct.pack(">h", len(key)) + key.encode() + b"\0" + struct.pack(">h", len(value)) + value.encode()
        self.send(44, 0, struct.pack(">ibh", 1, 2, len(topic)) + topic.encode() + struct.pack(">i", 1) + config + b"\1")
        reader = self.answer()
        reader.take("ii")
        return reader.take("h")

    def producer_id(self):
        """(producer id, epoch) of an InitProducerId v0 without a transactional id."""
        self.send(22, 0, struct.pack(">hi", -1, PATIENCE * 1000))
        reader = self.answer()
        reader.take("i")
        code, producer, epoch = reader.take("hqh")
        if code:
            raise OSError(f"InitProducerId: {named(code)}")
        return producer, epoch

    def coordinator(self, group):
        """(error code, number) of the coordinator as a FindCoordinator v0 of this node says."""
        self.send(10, 0, struct.pack(">h", len(group)) + group.encode())
        reader = self.answer()
        return reader.take("hi")

    def listed(self, group):
        """(state, type) of a group as a ListGroups v5 of its coordinator says, or None."""
        # No tagged fields in the header, empty filters, no tagged fields.
        self.send(16, 5, b"\0\1\1\0")
        reader = self.answer()
        _, _, error, count = reader.take("b"), reader.take("i"), reader.take("h"), unsigned(reader) - 1
        for _ in range(0 if error else count):
            name, _, state, kind = (compact(reader) for _ in range(4))
            reader.take("b")
            if name == group:
                return state, kind.lower()
        return None

    def committed(self, group, topic, partitions):
        """(error code, {partition: offset}) of an OffsetFetch v3; -1 where nothing is committed."""
        numbers = struct.pack(f">i{partitions}i", partitions, *range(partitions))
        self.send(9, 3, struct.pack(">h", len(group)) + group.encode() + struct.pack(">ih", 1, len(topic)) + topic.encode()
                  + numbers)
        reader = self.answer()
        reader.take("i")
        found, errors = {}, set()
        for _ in range(reader.take("i")):
            reader.text()
            for _ in range(reader.take("i")):
                partition, offset = reader.take("iq")
                reader.text()
                errors.add(reader.take("h"))
                found[partition] = offset
        errors.add(reader.take("h"))
        return max(errors, key=abs), found


def leader_of(addresses, topic, partition):
    """The number of the leader as the first says that answers, or None."""
    for address in addresses:
        try:
            client = Client(address, timeout=2)
            with client.socket:
                if (found := client.leader(topic, partition)) is not None:
                    return found
        except (OSError, EOFError):
            pass
    return None


def on(topic, partition):
    """One topic and one partition of it, as requests list them."""
    return struct.pack(">ih", 1, len(topic)) + topic.encode() + struct.pack(">ii", 1, partition)


def read_batches(data):
    """The (offset, value) of whole batches without compression; a batch that is cut off at the end is left out."""
    at, found = 0, []
    while at + 61 <= len(data):
        base, size = struct.unpack_from(">qi", data, at)
        if at + 12 + size > len(data):
            break
        count, here = struct.unpack_from(">i", data, at + 57)[0], at + 61
        for _ in range(count):
            _, here = varint(data, here)
            _, here = varint(data, here + 1)
            delta, here = varint(data, here)
            key, here = varint(data, here)
            value, here = varint(data, here + max(key, 0))
            found.append((base + delta, data[here:here + max(value, 0)].decode()))
            here += max(value, 0) + 1
        at += 12 + size
    return found


def varint(data, at):
    value = shift = 0
    while True:
        byte = data[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if not byte & 0x80:
            return (value >> 1) ^ -(value & 1), at


def unsigned(reader):
    value = shift = 0
    while True:
        byte = reader.take("B")
        value |= (byte & 0x7F) << shift
        shift += 7
        if not byte & 0x80:
            return value


def compact(reader):
    """A text of a flexible version."""
    size = unsigned(reader) - 1
    reader.at += size
    return reader.data[reader.at - size:reader.at].decode()


def read_all(address, topic, partition):
    """Everything that consumers may see, as the leader at this address says."""
    client, found, offset = Client(address), [], 0
    while True:
        error, high_watermark, more = client.fetch(topic, partition, offset)
        if error:
            raise SystemExit(f"{topic}-{partition} can't be read: {named(error)}")
        found += more
        if more:
            offset = more[-1][0] + 1
        if offset >= high_watermark:
            client.close()
            return found


def ottla(binary, bootstrap, *words, **more):
    done = subprocess.run([binary, *words, "--bootstrap", bootstrap], text=True, timeout=PATIENCE, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, **more)
    if done.returncode:
        raise OSError(f"ottla {' '.join(words)}: {done.stderr.strip()}")
    return done.stdout


def describe(binary, bootstrap, topic):
    """{partition: its description} as `ottla topic describe --json` prints it; empty while nobody answers."""
    try:
        topics = json.loads(ottla(binary, bootstrap, "topic", "describe", topic, "--json"))["topics"]
    except (OSError, subprocess.TimeoutExpired):
        return {}
    return {one["partition"]: one for one in topics[0]["partitions"]}


def dump(binary, data, partition, *words):
    """The lines of `ottla log dump --output json` of a partition's segments."""
    lines = []
    for segment in sorted((Path(data) / partition).glob("*.log")):
        done = subprocess.run([binary, "log", "dump", str(segment), "--output", "json", *words], check=True, text=True,
                              stdout=subprocess.PIPE, timeout=PATIENCE)
        lines += [json.loads(line) for line in done.stdout.splitlines()]
    return lines


def batches(binary, data, partition):
    """What must be equal on all replicas."""
    return [(line["last_offset"], line["leader_epoch"], line["crc"]) for line in dump(binary, data, partition)]


def wait_for(what, found, patience=PATIENCE, pause=0.05):
    deadline = time.monotonic() + patience
    while not (result := found()):
        if time.monotonic() > deadline:
            raise SystemExit(f"not in {patience} s: {what}")
        time.sleep(pause)
    return result


class History:
    """What one consumer has seen: an offset that shows another value than before is the end of the show."""

    def __init__(self, name):
        self.name, self.seen, self.next = name, {}, 0

    def take(self, records):
        for offset, value in records:
            before = self.seen.setdefault(offset, value)
            if before != value:
                raise SystemExit(f"{self.name} saw {before!r} and then {value!r} at offset {offset}")
            if offset != self.next:
                raise SystemExit(f"{self.name} saw offset {offset} after {self.next - 1}")
            self.next = offset + 1

    def must_equal(self, log):
        for offset, value in self.seen.items():
            if log.get(offset) != value:
                raise SystemExit(f"{self.name} saw {value!r} at offset {offset}, where {log.get(offset)!r} stands now")
