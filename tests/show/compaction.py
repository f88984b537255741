"""Compaction on a real node: `compaction.py OTTLA WORK RECORDS KEYS`, for groups-5."""

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "interop" / "lib"))

import tools  # noqa: E402

#: Every so many keys one ends with a tombstone.
TOMBSTONE_EVERY = 1000
SEGMENT_BYTES_MAX = 64 << 20
#: How often the node is killed while it cleans.
KILLS = 3


class Node:
    """One node with a cleaner of a given pace."""

    def __init__(self, binary, work):
        self.binary, self.data, self.log = binary, work / "data", work / "node.log"
        self.process = None

    def start(self, bytes_per_second=None):
        words = [self.binary, "node", "start", "--data", str(self.data), "--listen", "127.0.0.1:0"]
        settings = {"log.cleaner.backoff.ms": 200, "log.segment.delete.delay.ms": 1000,
                    "log.retention.check.interval.ms": 1000}
        if bytes_per_second:
            settings["log.cleaner.io.max.bytes.per.second"] = bytes_per_second
        for name, value in settings.items():
            words += ["--config", f"{name}={value}"]
        self.begin = self.log.stat().st_size if self.log.exists() else 0
        # A node takes what begins with OTTLA_ for its settings.
        env = {name: value for name, value in os.environ.items() if not name.startswith("OTTLA_")}
        self.process = subprocess.Popen(words, stdout=self.log.open("ab"), stderr=subprocess.STDOUT, env=env)
        self.address = wait_for("the node is ready", lambda: re.search(r"listening on ([^, \n]+)", self.said()), 120)[1]

    def said(self):
        """What it said since it was started last."""
        return self.log.read_bytes()[self.begin:].decode(errors="replace")

    def run(self, *words, **more):
        return subprocess.run([self.binary, *words, "--bootstrap", self.address], check=True, **more)

    def kill(self):
        if self.process:
            self.process.kill()
            self.process.wait()

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        if self.process.wait(60):
            raise SystemExit("the node did not stop in order")

    def files(self, topic):
        return sorted((self.data / f"{topic}-0").glob("*"))

    def size(self, topic):
        return sum(file.stat().st_size for file in self.files(topic) if file.suffix == ".log")


def wait_for(what, probe, seconds):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        found = probe()
        if found:
            return found
        time.sleep(0.05)
    raise SystemExit(f"waited {seconds} s, and not: {what}")


def key_of(at, keys):
    # A step without a common factor: every key in turn, neighbours far apart.
    return at * 7919 % keys


def is_tombstone(at, records, keys):
    return at >= records - keys and key_of(at, keys) % TOMBSTONE_EVERY == 0


def produce(node, topic, records, keys):
    began = time.monotonic()
    producer = subprocess.Popen([node.binary, "produce", topic, "-K", ":", "-Z", "--bootstrap", node.address],
                                stdin=subprocess.PIPE, stdout=subprocess.DEVNULL)
    for start in range(0, records, 10_000):
        lines = []
        for at in range(start, min(start + 10_000, records)):
            value = "" if is_tombstone(at, records, keys) else f"value {at} {'x' * 60}"
            lines.append(f"key-{key_of(at, keys)}:{value}\n")
        producer.stdin.write("".join(lines).encode())
    producer.stdin.close()
    if producer.wait():
        raise SystemExit("the producer failed")
    took = time.monotonic() - began
    print(f"{topic}: {records} records of {keys} keys in {took:.0f} s, {records / took:.0f} a second", flush=True)


def expected(records, keys):
    last = {}
    for at in range(max(0, records - keys), records):
        last[f"key-{key_of(at, keys)}"] = None if is_tombstone(at, records, keys) else str(at)
    return last


def check(node, topic, records, keys):
    """What a reader from the start learns is the latest value of each key."""
    words = [node.binary, "consume", topic, "--from-beginning", "--exit", "-f", "%k:%v\\n", "--bootstrap", node.address]
    reader = subprocess.Popen(words, stdout=subprocess.PIPE)
    found, count = {}, 0
    for line in reader.stdout:
        key, _, value = line.decode().rstrip("\n").partition(":")
        found[key] = value.split(" ")[1] if value.startswith("value ") else None
        count += 1
    if reader.wait():
        raise SystemExit("the reader failed")
    found = {key: value for key, value in found.items() if value is not None}
    wanted = {key: value for key, value in expected(records, keys).items() if value is not None}
    if found != wanted:
        wrong = [key for key in {*found, *wanted} if found.get(key) != wanted.get(key)]
        one = wrong[0]
        raise SystemExit(f"{len(wrong)} keys are wrong, {one}: {found.get(one)} instead of {wanted.get(one)}")
    print(f"{topic}: {count} records are left, the latest value of each of {len(found)} keys is served", flush=True)
    return count


def dump(node, topic):
    """Apache Kafka's tool reads every record and every index of what is left."""
    logs = [file for file in node.files(topic) if file.suffix == ".log" and file.stat().st_size]
    text = tools.tool("kafka-dump-log", "--deep-iteration", "--files", ",".join(map(str, logs)))
    batches = len(re.findall(r"(?m)^baseOffset: ", text))
    records = len(re.findall(r"(?m)^\| offset: ", text))
    if "isvalid: false" in text or not batches or re.search(r"(?i)mismatch|non-consecutive|not valid", text):
        raise SystemExit(f"DumpLogSegments: {text[-800:]}")
    indexes = [file for file in node.files(topic) if file.suffix in (".index", ".timeindex")]
    said = tools.tool("kafka-dump-log", "--files", ",".join(map(str, indexes)))
    if re.search(r"(?i)mismatch|not found|invalid|failed", said):
        raise SystemExit(f"DumpLogSegments of the indexes: {said[-800:]}")
    print(f"{topic}: DumpLogSegments reads {batches} batches, {records} records, {len(indexes)} indexes", flush=True)


def create(node, topic, records):
    segment = min(max(records * 90 // 16, 1 << 20), SEGMENT_BYTES_MAX)
    settings = {"cleanup.policy": "compact", "segment.bytes": segment, "min.cleanable.dirty.ratio": 1}
    words = [word for name, value in settings.items() for word in ("--config", f"{name}={value}")]
    node.run("topic", "create", topic, "-p", "1", "-r", "1", *words, stdout=subprocess.DEVNULL)


def let_it_be_cleaned(node, topic):
    node.run("topic", "alter", topic, "--set", "min.cleanable.dirty.ratio=0", stdout=subprocess.DEVNULL)


def rounds(node, topic):
    """What it said of each round: a dictionary of numbers."""
    lines = re.findall(rf'cleaned a log.*topic="?{topic}"?.*', node.said())
    return [{name: int(number) for name, number in re.findall(r"(\w+)=(\d+)", line)} for line in lines]


def wait_until_cleaned(node, topic):
    wait_for(f"{topic} is cleaned", lambda: rounds(node, topic), 900)
    is_quiet = lambda: not any(file.suffix in (".cleaned", ".swap", ".deleted") for file in node.files(topic))
    wait_for("no files are on their way", is_quiet, 60)
    return rounds(node, topic)


def say_sizes(node, topic, before):
    after = node.size(topic)
    active = max((file for file in node.files(topic) if file.suffix == ".log"), key=lambda file: file.name).stat().st_size
    print(f"{topic}: {before / 1e6:.0f} MB before, {after / 1e6:.0f} MB after, of which {active / 1e6:.0f} MB are the active "
          "segment, which is not cleaned", flush=True)
    if after - active > before / 4:
        raise SystemExit("that is hardly compacted")


def main():
    binary, work, records, keys = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])
    node = Node(binary, work)
    try:
        node.start()
        create(node, "whole", records)
        produce(node, "whole", records, keys)
        before = node.size("whole")
        let_it_be_cleaned(node, "whole")
        for one in wait_until_cleaned(node, "whole"):
            print(f"whole: cleaned {one['bytes_before'] / 1e6:.0f} MB in {one['millis'] / 1000:.1f} s: {one['mb_per_second']} "
                  f"MB/s read, {one['records_dropped']} records dropped", flush=True)
        say_sizes(node, "whole", before)
        check(node, "whole", records, keys)

        create(node, "killed", records)
        produce(node, "killed", records, keys)
        before = node.size("killed")
        node.stop()
        # Slow enough to be met in the middle: some twenty seconds for a round.
        pace = max(before // 10, 1 << 20)
        for kill in range(KILLS):
            node.start(pace)
            let_it_be_cleaned(node, "killed")
            under_way = lambda: [file.name for file in node.files("killed") if file.suffix in (".cleaned", ".swap")]
            # What the last kill left goes when the log is opened.
            wait_for("the log is opened", lambda: not under_way(), 60)
            wait_for("a round is under way", under_way, 300)
            time.sleep(0.3 + 2 * kill)
            left = wait_for("a copy is under way", under_way, 60)
            if rounds(node, "killed"):
                raise SystemExit("the round was over before the kill")
            node.kill()
            print(f"killed: kill -9 with {left} under way, {node.size('killed') / 1e6:.0f} MB", flush=True)
        node.start()
        wait_until_cleaned(node, "killed")
        say_sizes(node, "killed", before)
        check(node, "killed", records, keys)
        check(node, "whole", records, keys)
        node.stop()
        dump(node, "whole")
        dump(node, "killed")
    except BaseException:
        print(node.said()[-3000:], file=sys.stderr)
        raise
    finally:
        node.kill()


if __name__ == "__main__":
    main()
