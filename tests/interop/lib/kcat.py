"""kcat on Debian's librdkafka, spoken to as the other clients are: a command per request."""

import base64
import json
import re
import subprocess
import time
from pathlib import Path

import records
from clients import GROUPS, READS, WRITES, Client, Refused

KEY = "|"  # Between key and value; no record has it.
FORMAT = "%o %T %K %S\n%k\n%s\n%h\n"


class Kcat(Client):
    def __init__(self, broker):
        super().__init__("kcat", ["kcat"], ["metadata", "list offsets", "idempotent", "auto create", *WRITES, *READS, *GROUPS],
                         can=frozenset({"null_key", "null_value", "one_header"}))
        self.broker = broker

    def another(self):
        return Kcat(self.broker)

    def start(self, bootstrap, log):
        pass

    def stop(self):
        pass

    def ask(self, op, timeout=40.0, **request):
        return getattr(self, op)(**request)

    def run(self, *words, stdin=None):
        command = ["kcat", "-b", self.broker.bootstrap, "-m", "10", *words]
        done = subprocess.run(command, input=stdin, capture_output=True, timeout=30)
        if done.returncode or b"ERROR" in done.stderr:
            raise Refused(f"kcat: exit code {done.returncode}: {done.stderr.decode(errors='replace').strip()[-400:]}")
        return done.stdout

    def hello(self):
        found = re.search(r"Version (\S+) .*(librdkafka \S+)", subprocess.run(["kcat", "-V"], capture_output=True,
                                                                              text=True).stdout)
        return {"version": f"kcat {found[1]} ({found[2]})"}

    def metadata(self):
        found = json.loads(self.run("-L", "-J"))
        brokers = []
        for broker in found["brokers"]:
            brokers.append({"id": broker["id"], "addr": broker["name"]})
        topics = {topic["topic"]: [{"p": p["partition"], "leader": p["leader"],
                                    "replicas": [r["id"] for r in p["replicas"]], "isr": [r["id"] for r in p["isrs"]]}
                                   for p in topic["partitions"]] for topic in found["topics"]}
        return {"brokers": brokers, "controller": found["controllerid"], "topics": topics}

    def list_offsets(self, topic, partition, at):
        at = {"earliest": -2, "latest": -1}.get(at, at)
        text = self.run("-Q", "-t", f"{topic}:{partition}:{at}").decode()
        return {"offset": int(re.search(rf"{re.escape(topic)} \[{partition}\] offset (-?\d+)", text)[1])}

    def produce(self, topic, partition, file, codec, acks, idempotent):
        lines = []
        for record in records.read(Path(file)):
            key = b"" if record["k"] is None else base64.b64decode(record["k"]) + KEY.encode()
            lines.append(key + base64.b64decode(record["v"] or ""))
        self.run("-P", "-t", topic, "-p", str(partition), "-z", codec, "-K", KEY, "-Z", "-H", "trace=kcat",
                 "-X", "max.in.flight=1",
                 "-X", f"acks={acks}", "-X", f"enable.idempotence={str(idempotent).lower()}",
                 stdin=b"\n".join(lines) + b"\n")
        return {}

    def consume(self, topic, partition, until, out, **at):
        start = at["from"]
        if isinstance(start, dict):
            start = f"s@{start['timestamp']}"
        data = self.run("-C", "-q", "-t", topic, "-p", str(partition), "-o", str(start), "-e", "-X", "check.crcs=true",
                        "-f", FORMAT)
        found = list(parse(data, partition))
        records.write(Path(out), found)
        return {"read": len(found)}

    def join(self, group, topic, protocol, assignor, session, log, limit):
        """A member until it has read so many records of partition 0, which it commits as it leaves."""
        data = self.run("-G", group, "-q", "-c", str(limit), "-X", "auto.offset.reset=earliest", "-X",
                        f"partition.assignment.strategy={assignor}", "-X", f"session.timeout.ms={session}", "-f", FORMAT, topic)
        events = [{"e": "record", "at": time.monotonic_ns(), **record} for record in parse(data, 0)]
        records.write(Path(log), [*events, {"e": "left", "at": time.monotonic_ns()}])
        return {}

    def leave(self):
        return {}


def parse(data, partition):
    """The records as FORMAT prints them; a length of -1 is null."""
    at = 0
    while at < len(data):
        end = data.index(b"\n", at)
        offset, time, key_size, value_size = map(int, data[at:end].split())
        at = end + 1
        key, at = take(data, at, key_size)
        value, at = take(data, at, value_size)
        end = data.index(b"\n", at)
        headers = [pair.split("=", 1) for pair in data[at:end].decode().split(",") if pair]
        at = end + 1
        yield {"p": partition, "o": offset, "t": time, "k": records.encode(key), "v": records.encode(value),
               "h": [[name, None if value == "NULL" else records.encode(value.encode())] for name, value in headers]}


def take(data, at, size):
    if size < 0:
        # Printed as nothing, or as NULL with -Z.
        end = data.index(b"\n", at)
        return None, end + 1
    return data[at:at + size], at + size + 1
