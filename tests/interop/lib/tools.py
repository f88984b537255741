"""The scripts of a Kafka distribution, each a cell or more: their classes, run from Maven Central's jars."""

import json
import re
import subprocess
import tempfile
from pathlib import Path

import cells
import records
import segments
from broker import WORK, api_versions
from cells import check, same
from clients import CODECS, Refused

CLASSES = {
    "kafka-topics": "org.apache.kafka.tools.TopicCommand",
    "kafka-configs": "kafka.admin.ConfigCommand",
    "kafka-console-producer": "org.apache.kafka.tools.ConsoleProducer",
    "kafka-consumer-groups": "org.apache.kafka.tools.consumer.group.ConsumerGroupCommand",
    "kafka-console-consumer": "org.apache.kafka.tools.consumer.ConsoleConsumer",
    "kafka-get-offsets": "org.apache.kafka.tools.GetOffsetShell",
    "kafka-log-dirs": "org.apache.kafka.tools.LogDirsCommand",
    "kafka-delete-records": "org.apache.kafka.tools.DeleteRecordsCommand",
    "kafka-broker-api-versions": "org.apache.kafka.tools.BrokerApiVersionsCommand",
    "kafka-metadata-quorum": "org.apache.kafka.tools.MetadataQuorumCommand",
    "kafka-cluster": "org.apache.kafka.tools.ClusterTool",
    "kafka-dump-log": "org.apache.kafka.tools.DumpLogSegments",
}
JVM = ["java", "-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-cp", f"{WORK}/tools/*"]


def tool(name, *words, stdin=None, binary=False, aloud=False):
    """Runs it; its output, or Refused with what it said. `aloud`: it says more than what fails it."""
    done = subprocess.run([*JVM, CLASSES[name], *words], input=stdin, capture_output=True, timeout=60)
    # The console consumer says what it read on stderr; an exit code or an exception is a failure.
    if done.returncode or b"Exception" in done.stderr and not aloud:
        said = (done.stderr + done.stdout).decode(errors="replace").strip()
        raise Refused(f"{name}: exit code {done.returncode}: {said[-600:]}")
    return done.stdout if binary else done.stdout.decode()


class Tools:
    def __init__(self, suite):
        self.suite = suite
        self.online = [
            ("kafka-broker-api-versions", "api versions", self.api_versions),
            ("kafka-topics", "metadata", self.metadata),
            ("kafka-topics", "create topic", self.create_topic),
            ("kafka-topics", "create partitions", self.create_partitions),
            ("kafka-topics", "delete topic", self.delete_topic),
            ("kafka-cluster", "metadata", self.cluster),
            ("kafka-configs", "describe configs", self.describe_configs),
            ("kafka-configs", "alter configs", self.alter_configs),
            ("kafka-configs", "broker configs", self.broker_configs),
            *(("kafka-console-producer", f"produce {codec}", lambda codec=codec: self.produce(codec))
              for codec in CODECS),
            *(("kafka-console-consumer", f"consume {codec}", lambda codec=codec: self.consume(codec))
              for codec in CODECS),
            ("kafka-console-consumer", "from offset", self.from_offset),
            ("kafka-get-offsets", "list offsets", self.get_offsets),
            ("kafka-log-dirs", "log dirs", self.log_dirs),
            ("kafka-delete-records", "delete records", self.delete_records),
            ("kafka-metadata-quorum", "quorum", self.quorum),
        ]
        self.offline = [
            ("kafka-dump-log", "dump log", self.dump_log),
            ("kafka-dump-log", "dump index", self.dump_index),
            ("kafka-dump-log", "dump snapshot", self.dump_snapshot),
        ]

    def run(self, name, *words, **more):
        return tool(name, "--bootstrap-server", self.suite.broker.bootstrap, *words, **more)

    def api_versions(self):
        wanted = {node.bootstrap: api_versions(node.port) for node in self.suite.nodes}
        got = {address: {key: (low, high) for key, low, high in rows.values()}
               for address, rows in printed_rows(self.suite.broker.bootstrap).items()}
        same(wanted, got, "versions")

    def metadata(self):
        self.suite.create(self.suite.java, "tool-described", 3, **{"segment.bytes": "2097152"})
        check("tool-described" in self.run("kafka-topics", "--list").split(), "the topic is not listed")
        text = self.run("kafka-topics", "--describe", "--topic", "tool-described")
        found = re.findall(r"Partition: (\d+)\s+Leader: (\d+)\s+Replicas: ([\d,]+)\s+Isr: ([\d,]+)", text)
        numbers = lambda ids: [int(id) for id in ids.split(",")]
        found = [(int(p), int(leader), numbers(replicas), sorted(numbers(isr))) for p, leader, replicas, isr in found]
        known = cells.known(self.suite.franz, "tool-described", 3)
        same(cells.partitions(known, "tool-described"), found, "partitions")
        cells.check_spread(found, 3, sorted(cells.addresses(known)))
        check("PartitionCount: 3" in text and "segment.bytes=2097152" in text, text)

    def create_topic(self):
        self.run("kafka-topics", "--create", "--topic", "tool-created", "--partitions", "4", "--config",
                 "max.message.bytes=1500000")
        cells.eventually(lambda: cells.replica_counts(self.suite.franz, "tool-created"), [self.suite.replicas] * 4,
                         "replicas")
        configs = cells.configs_of(self.suite.franz, "tool-created", ["max.message.bytes"])
        same("1500000", configs["max.message.bytes"], "max.message.bytes")
        cells.refusal(lambda: self.run("kafka-topics", "--create", "--topic", "tool-created"), "already exists")

    def create_partitions(self):
        self.suite.create(self.suite.java, "tool-more", 1)
        self.run("kafka-topics", "--alter", "--topic", "tool-more", "--partitions", "5")
        cells.eventually(lambda: len(cells.describe(self.suite.franz, "tool-more")), 5, "partitions")

    def delete_topic(self):
        self.suite.create(self.suite.java, "tool-deleted", 2)
        self.run("kafka-topics", "--delete", "--topic", "tool-deleted")
        cells.eventually(lambda: cells.describe(self.suite.franz, "tool-deleted"), None, "tool-deleted")

    def cluster(self):
        text = tool("kafka-cluster", "cluster-id", "--bootstrap-server", self.suite.broker.bootstrap)
        same(self.suite.franz.ask("metadata")["cluster"], text.split("Cluster ID:")[-1].strip(), "the cluster id")

    def describe_configs(self):
        self.suite.create(self.suite.java, "tool-configs", 1, **{"segment.bytes": "2097152"})
        text = self.run("kafka-configs", "--describe", "--entity-type", "topics", "--entity-name", "tool-configs")
        check(re.search(r"segment\.bytes=2097152 .*DYNAMIC_TOPIC_CONFIG:segment\.bytes=2097152", text), text)
        text = self.run("kafka-configs", "--describe", "--all", "--entity-type", "topics", "--entity-name",
                        "tool-configs")
        in_sync = f"min.insync.replicas={min(self.suite.replicas, 2)}"
        for pair in ("cleanup.policy=delete", "max.message.bytes=1048588", in_sync):
            check(pair in text, f"no {pair} in {text}")

    def alter_configs(self):
        self.suite.create(self.suite.java, "tool-altered", 1, **{"segment.bytes": "2097152"})
        entity = ["--alter", "--entity-type", "topics", "--entity-name", "tool-altered"]
        self.run("kafka-configs", *entity, "--add-config", "max.message.bytes=123456,retention.bytes=5000000")
        self.run("kafka-configs", *entity, "--delete-config", "max.message.bytes")
        wanted = {"max.message.bytes": "1048588", "retention.bytes": "5000000", "segment.bytes": "2097152"}
        cells.eventually(lambda: cells.configs_of(self.suite.franz, "tool-altered", wanted), wanted, "configs")

    def broker_configs(self):
        broker = str(self.suite.franz.ask("metadata")["brokers"][0]["id"])
        entity = ["--entity-type", "brokers", "--entity-name", broker]
        self.run("kafka-configs", "--alter", *entity, "--add-config", "log.retention.ms=777777777")
        text = self.run("kafka-configs", "--describe", *entity)
        check(re.search(r"log\.retention\.ms=777777777 .*DYNAMIC_BROKER_CONFIG", text), text)
        self.run("kafka-configs", "--alter", *entity, "--delete-config", "log.retention.ms")
        text = self.run("kafka-configs", "--describe", *entity)
        check("777777777" not in text, text)

    def produce(self, codec):
        """Each acks; key, headers and null are read from the line."""
        topic = f"tool-produce-{codec}"
        self.suite.create(self.suite.java, topic, 1)
        wanted = []
        for acks in cells.ACKS:
            can = frozenset({"null_key", "null_value", "headers"})
            some = [{**r, "h": r["h"] or [["a", records.encode(b"b")]]} for r in records.make(f"{topic}-{acks}", 40, can)]
            lines = [console_line(record) for record in some]
            pairs = (f"acks={acks}", f"enable.idempotence={str(acks == 'all').lower()}",
                     "max.in.flight.requests.per.connection=1")
            self.run("kafka-console-producer", "--topic", topic, "--compression-codec", codec, *reader_properties(),
                     *(word for pair in pairs for word in ("--command-property", pair)), stdin="".join(lines).encode())
            wanted += some
        self.suite.expect(self.suite.franz, topic, 0, wanted)
        cells.stored_as(codec, self.suite, topic, 0)

    def consume(self, codec):
        topic, wanted = self.suite.reference["franz-go", codec]
        self.printed(topic, "earliest", wanted, 0)

    def from_offset(self):
        topic, wanted = self.suite.reference["franz-go", "snappy"]
        self.printed(topic, "137", wanted[137:], 137)

    def printed(self, topic, offset, wanted, first):
        text = self.run(
            "kafka-console-consumer", "--topic", topic, "--partition", "0", "--offset", offset, "--max-messages",
            str(len(wanted)), "--timeout-ms", "15000", *(word for pair in (
                "print.timestamp=true", "print.offset=true", "print.partition=true", "print.headers=true",
                "print.key=true", "key.separator=|", "line.separator=\x02", "headers.separator=;", "null.literal=NULL")
                for word in ("--formatter-property", pair)), binary=True)
        lines = text.split(b"\x02\n" if b"\x02\n" in text[-4:] else b"\x02")[:-1]
        # Binary values may hold the separator: compared is the whole text.
        expected = b"".join(console_print(record, first + place) for place, record in enumerate(wanted))
        if text != expected:
            at = next((i for i, (a, b) in enumerate(zip(text, expected)) if a != b), min(len(text), len(expected)))
            raise cells.Wrong(f"{len(lines)} printed; differs at byte {at}: {text[max(0, at - 60):at + 60]!r}, "
                              f"expected {expected[max(0, at - 60):at + 60]!r}")

    def get_offsets(self):
        topic, wanted = self.suite.reference["java", "none"]
        for time, offset in (("-1", len(wanted)), ("-2", 0), ("earliest", 0)):
            text = self.run("kafka-get-offsets", "--topic", topic, "--time", time).strip()
            same(f"{topic}:0:{offset}", text, f"--time {time}")

    def log_dirs(self):
        topic, _ = self.suite.reference["java", "none"]
        text = self.run("kafka-log-dirs", "--describe", "--topic-list", topic)
        answer = json.loads(next(line for line in text.splitlines() if line.startswith("{")))
        dirs = [one for broker in answer["brokers"] for one in broker["logDirs"]]
        found = [(one["logDir"], p) for one in dirs for p in one["partitions"]]
        same({f"{topic}-0"}, {p["partition"] for _, p in found}, "partitions")
        same(self.suite.log_dirs(topic, 0), sorted((path, p["size"]) for path, p in found), "directories and sizes")

    def delete_records(self):
        topic = "tool-trimmed"
        self.suite.create(self.suite.java, topic, 1)
        wanted = records.make(topic, 60)
        self.suite.produce(self.suite.java, topic, 0, wanted, "none", "all", "all")
        with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
            json.dump({"partitions": [{"topic": topic, "partition": 0, "offset": 25}], "version": 1}, file)
            file.flush()
            text = self.run("kafka-delete-records", "--offset-json-file", file.name)
        check(re.search(r"tool-trimmed-0\s+low_watermark: 25", text), text)
        self.suite.expect(self.suite.franz, topic, 0, wanted[25:], first=25)

    def quorum(self):
        text = self.run("kafka-metadata-quorum", "describe", "--status")
        known = self.suite.franz.ask("metadata")
        same(str(known["controller"]), re.search(r"LeaderId:\s+(\d+)", text)[1], "the leader")
        text = self.run("kafka-metadata-quorum", "describe", "--replication")
        roles = {broker: "Leader" if broker == known["controller"] else "Follower" for broker in cells.addresses(known)}
        found = re.findall(r"(?m)^(\d+)\s.*\s(Leader|Follower|Observer)\s*$", text)
        same(roles, {int(broker): role for broker, role in found}, "roles")

    def dump_log(self):
        """Every codec, written by every kind of client, as --deep-iteration prints it; every CRC is good."""
        for client in [self.suite.java, self.suite.franz]:
            for codec in CODECS:
                topic, wanted = self.suite.reference[client.name, codec]
                files = ",".join(str(log) for node in self.suite.nodes for log in segments.logs(node.data, topic, 0))
                text = tool("kafka-dump-log", "--deep-iteration", "--print-data-log", "--files", files)
                dumps = text.split("Dumping ")[1:]
                for node in self.suite.nodes:
                    compare_dump("".join(dump for dump in dumps if dump.startswith(f"{node.data}/")), wanted)

    def dump_index(self):
        """The offset and time indexes of a partition of several segments."""
        files = []
        for node in self.suite.nodes:
            directory = segments.partition_dir(node.data, "tool-segments", 0)
            indexes = sorted(directory.glob("*.index")) + sorted(directory.glob("*.timeindex"))
            check(len(list(directory.glob("*.log"))) > 2, f"{directory} has few segments")
            check(sum(file.stat().st_size for file in indexes) > 200, f"the indexes of {directory} are all but empty")
            files += indexes
        for flags in (["--index-sanity-check"], ["--verify-index-only"], []):
            text = tool("kafka-dump-log", "--files", ",".join(map(str, files)), *flags)
            check(not re.search(r"(?i)mismatch|non-consecutive|not found|invalid|failed", text), text[-800:])
        entries = len(re.findall(r"(?m)^offset: \d+ position: \d+$", text))
        size = sum(file.stat().st_size for file in files if file.suffix == ".index")
        same(size // 8, entries, "offset index entries")

    def dump_snapshot(self):
        """The producer snapshot that a clean stop leaves names the producers whose batches are in the log."""
        topic = "java-idempotent"
        wanted = {batch[2] for batch in self.suite.stored(topic, 0)}
        for node in self.suite.nodes:
            directory = segments.partition_dir(node.data, topic, 0)
            snapshots = sorted(directory.glob("*.snapshot"))
            check(snapshots, f"no snapshot in {directory}")
            text = tool("kafka-dump-log", "--files", str(snapshots[-1]))
            ids = {int(found) for found in re.findall(r"producerId: (\d+)", text)}
            same(wanted, ids, f"producer ids in {directory}")

    def fill_segments(self):
        """A partition of several segments, for the indexes."""
        self.suite.create(self.suite.java, "tool-segments", 1, **{"segment.bytes": "1048576"})
        for part in range(8):
            wanted = [{**record, "t": record["t"] + part * 1_000_000} for record in records.make(f"segments-{part}", 800)]
            self.suite.produce(self.suite.java, "tool-segments", 0, wanted, "none", "all", str(part))


def printed_rows(bootstrap):
    """{broker's address: {api name: (key, lowest, highest)}} as kafka-broker-api-versions prints them."""
    text = tool("kafka-broker-api-versions", "--bootstrap-server", bootstrap)
    brokers = re.findall(r"(?ms)^(\S+) \(id: (.*?)^\)", text)
    return {address: rows_of(rows) for address, rows in brokers}


def rows_of(text):
    rows = re.findall(r"(\w+)\((\d+)\): (\d+)(?: to (\d+))?", text)
    # A name that the tool does not know is UNKNOWN(key).
    return {name if name != "UNKNOWN" else f"UNKNOWN{key}": (int(key), int(low), int(high or low))
            for name, key, low, high in rows}


def reader_properties():
    pairs = ("parse.key=true", "parse.headers=true", "key.separator=|", "headers.delimiter=\t", "headers.separator=;",
             "headers.key.separator=:", "null.marker=NULL")
    return [word for pair in pairs for word in ("--reader-property", pair)]


def console_line(record):
    headers = ";".join(f"{name}:{text(value)}" for name, value in record["h"])
    return f"{headers}\t{text(record['k'])}|{text(record['v'])}\n"


def console_print(record, offset):
    headers = ";".join(f"{name}:{text(value)}" for name, value in record["h"]) or "NO_HEADERS"
    head = f"CreateTime:{record['t']}|Partition:0|Offset:{offset}|{headers}|".encode()
    return head + data(record["k"]) + b"|" + data(record["v"]) + b"\x02"


def data(value):
    return b"NULL" if value is None else records.base64.b64decode(value)


def text(value):
    return data(value).decode()


def compare_dump(dump, wanted):
    check("isvalid: false" not in dump and "isvalid: true" in dump, "a batch is not valid")
    rows = re.findall(r"(?m)^\| offset: (\d+) (?:CreateTime|LogAppendTime): (\d+) keySize: (-?\d+) valueSize: (-?\d+)"
                      r".*headerKeys: \[(.*?)\]", dump)
    size = lambda value: -1 if value is None else len(records.base64.b64decode(value))
    expected = [(str(place), str(r["t"]), str(size(r["k"])), str(size(r["v"])), ",".join(name for name, _ in r["h"]))
                for place, r in enumerate(wanted)]
    same(expected[:len(rows)], rows, "records")
    same(len(expected), len(rows), "the number of records")
