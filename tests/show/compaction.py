"""Compaction on a real node: `compaction.py OTTLA WORK RECORDS KEYS`, for groups-5.

The cleaner never touches the active segment, and what was written last is there. So the records are sealed: one with a
key of its own begins a segment behind them. And keys are given up one after the other, so that latest values lie all
over the log and a round that loses part of it loses some of them.
"""

import os
import random
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "interop" / "lib"))

import tools  # noqa: E402

#: Of so many records one is a tombstone, which deletes its key unless a value follows.
TOMBSTONE_EVERY = 100
#: The key of the record that seals the others.
SEAL = "seal"
SEED = 5
SEGMENT_BYTES_MAX = 64 << 20
#: How often the node is killed while it cleans.
KILLS = 3


class Node:
    """One node with a cleaner of a given pace."""

    def __init__(self, binary, work):
        self.binary, self.data, self.log = binary, work / "data", work / "node.log"
        self.process = None

    def start(self, bytes_per_second=None, is_cleaning=True):
        words = [self.binary, "node", "start", "--data", str(self.data), "--listen", "127.0.0.1:0"]
        settings = {"log.cleaner.backoff.ms": 200, "log.segment.delete.delay.ms": 1000,
                    "log.retention.check.interval.ms": 1000, "log.cleaner.enable": str(is_cleaning).lower()}
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


def written(records, keys):
    """(key, value) of each record in order. Half of the keys are given up on the way, each at its own time."""
    rng = random.Random(SEED)
    for at in range(records):
        given_up = keys // 2 * at // records
        key = given_up + int(rng.random() * (keys - given_up))
        yield f"key-{key}", None if at % TOMBSTONE_EVERY == 0 else str(at)


def produce(node, topic, records, keys):
    """Writes and seals them; the latest value of each key."""
    began, last = time.monotonic(), {}
    producer = subprocess.Popen(producing(node, topic), stdin=subprocess.PIPE, stdout=subprocess.DEVNULL)
    lines = []
    for key, value in written(records, keys):
        last[key] = value
        lines.append(f"{key}:\n" if value is None else f"{key}:value {value} {'x' * 60}\n")
        if len(lines) == 10_000:
            producer.stdin.write("".join(lines).encode())
            lines.clear()
    producer.stdin.write("".join(lines).encode())
    producer.stdin.close()
    if producer.wait():
        raise SystemExit("the producer failed")
    took, deleted = time.monotonic() - began, sum(value is None for value in last.values())
    early = sum(value is not None and int(value) < records // 2 for value in last.values())
    print(f"{topic}: {records} records of {len(last)} keys in {took:.0f} s, {records / took:.0f} a second; {deleted} keys are "
          f"deleted, {early} have their latest value in the first half", flush=True)
    if not deleted or early < len(last) // 10:
        raise SystemExit("too few of them for the show")
    seal(node, topic, records)
    last[SEAL] = "0"
    return last


def producing(node, topic):
    return [node.binary, "produce", topic, "-K", ":", "-Z", "--bootstrap", node.address]


def seal(node, topic, records):
    """Begins a segment behind them: the one before it is too old for the next record."""
    node.run("topic", "alter", topic, "--set", "segment.ms=1", stdout=subprocess.DEVNULL)
    node.run("produce", topic, "-K", ":", input=f"{SEAL}:value 0\n".encode(), stdout=subprocess.DEVNULL)
    if int(active(node, topic).stem) != records:
        raise SystemExit(f"{active(node, topic).name} is active, so not all records are sealed")


def check(node, topic, last):
    """What a reader from the start learns is the latest value of each key; how many records it read."""
    words = [node.binary, "consume", topic, "--from-beginning", "--exit", "-f", "%k:%v\\n", "--bootstrap", node.address]
    reader = subprocess.Popen(words, stdout=subprocess.PIPE)
    found, count = {}, 0
    for line in reader.stdout:
        key, _, value = line.decode().rstrip("\n").partition(":")
        found[key] = value.split(" ")[1] if value.startswith("value ") else None
        count += 1
    if reader.wait():
        raise SystemExit("the reader failed")
    # A deleted key may have left its tombstone, or nothing.
    found = {key: value for key, value in found.items() if value is not None}
    wanted = {key: value for key, value in last.items() if value is not None}
    if found != wanted:
        wrong = [key for key in {*found, *wanted} if found.get(key) != wanted.get(key)]
        one = wrong[0]
        raise SystemExit(f"{len(wrong)} keys are wrong, {one}: {found.get(one)} instead of {wanted.get(one)}")
    print(f"{topic}: {count} records are read, the latest value of each of {len(found)} keys is served", flush=True)
    return count


def check_clean(node, topic, last):
    """One record is left of each key: its latest value, or the tombstone, which is younger than `delete.retention.ms`."""
    count = check(node, topic, last)
    if count != len(last):
        raise SystemExit(f"{count} records are left of {len(last)} keys")
    return count


def dump(node, topic, count):
    """Apache Kafka's tool reads every record, as many as the reader did, and every index of what is left."""
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
    if records != count:
        raise SystemExit(f"DumpLogSegments reads {records} records of {topic}, a consumer read {count}")
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


def active(node, topic):
    return max((file for file in node.files(topic) if file.suffix == ".log"), key=lambda file: file.name)


def say_sizes(node, topic, before):
    after = node.size(topic)
    print(f"{topic}: {before / 1e6:.0f} MB before, {after / 1e6:.0f} MB after", flush=True)
    if after > before / 2:
        raise SystemExit("that is hardly compacted")


def kill_while_it_cleans(node, topic, pace, wait):
    """Kills in the middle of a round; what lies there afterwards proves it."""
    under_way = lambda: [file.name for file in node.files(topic) if file.suffix in (".cleaned", ".swap")]
    node.start(pace)
    let_it_be_cleaned(node, topic)
    wait_for("a round is under way", under_way, 300)
    time.sleep(wait)
    wait_for("a copy is under way", under_way, 60)
    node.kill()
    left = under_way()
    if not left or rounds(node, topic):
        raise SystemExit("the kill did not fall into a round")
    print(f"{topic}: kill -9 with {left} under way, {node.size(topic) / 1e6:.0f} MB", flush=True)


def main():
    binary, work, records, keys = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])
    node = Node(binary, work)
    try:
        node.start()
        create(node, "whole", records)
        last = produce(node, "whole", records, keys)
        before = node.size("whole")
        let_it_be_cleaned(node, "whole")
        for one in wait_until_cleaned(node, "whole"):
            print(f"whole: cleaned {one['bytes_before'] / 1e6:.0f} MB in {one['millis'] / 1000:.1f} s: {one['mb_per_second']} "
                  f"MB/s read, {one['records_dropped']} records dropped", flush=True)
        say_sizes(node, "whole", before)
        check_clean(node, "whole", last)

        create(node, "killed", records)
        produce(node, "killed", records, keys)
        before = node.size("killed")
        node.stop()
        # Slow enough to be met in the middle: some twenty seconds for a round.
        pace = max(before // 10, 1 << 20)
        for kill in range(KILLS):
            kill_while_it_cleans(node, "killed", pace, 0.3 + 2 * kill)
            # As the kill left it: what is between two groups of segments is read as well.
            node.start(is_cleaning=False)
            check(node, "killed", last)
            node.stop()
        node.start()
        wait_until_cleaned(node, "killed")
        say_sizes(node, "killed", before)
        counts = {topic: check_clean(node, topic, last) for topic in ("whole", "killed")}
        node.stop()
        for topic, count in counts.items():
            dump(node, topic, count)
    except BaseException:
        print(node.said()[-3000:], file=sys.stderr)
        raise
    finally:
        node.kill()


if __name__ == "__main__":
    main()
