"""What each operation of the table does and compares. A cell is green only if the function returns; any exception is
its red reason. Nothing here trusts the client under test: what it wrote is read by another one, what it reads was
written by another one."""

import random
import re
import time

import records
import segments
from broker import api_versions
from clients import CODECS, Refused
from cluster import leader_of

PARTITIONS = 3
ACKS = ["0", "1", "all"]


class Wrong(Exception):
    """Data or an answer is not what it should be."""


def check(good, message):
    if not good:
        raise Wrong(message)


def same(wanted, got, what):
    check(wanted == got, f"{what}: {got!r}, expected {wanted!r}")


class Suite:
    """The broker under test, and two clients of different make that prepare and judge for the others."""

    def __init__(self, broker, work, java, franz):
        self.broker, self.work, self.java, self.franz = broker, work, java, franz
        self.nodes, self.replicas = broker.nodes, len(broker.nodes)
        self.began = int(time.time() * 1000) - 60_000
        self.reference = {}

    def judge(self, client):
        return self.franz if client.name == "java" else self.java

    def source(self, client):
        """The name of the writer of the topics that the client reads."""
        return "franz-go" if client.name == "java" else "java"

    def prepare(self):
        """The topics that the clients read: written by two clients, each checked by the other."""
        for writer, reader in ((self.java, self.franz), (self.franz, self.java)):
            for codec in CODECS:
                topic = f"ref-{writer.name}-{codec}"
                wanted = records.make(topic, 400)
                self.create(writer, topic, 1)
                self.reference[writer.name, codec] = topic, wanted
                self.produce(writer, topic, 0, wanted, codec, "all", "ref")
                self.expect(reader, topic, 0, wanted)

    def create(self, client, topic, partitions, **configs):
        """A topic with a replica on each node. By Kafka's rules the other brokers may hear of it a moment later."""
        configs = {"retention.ms": "-1", **configs}
        client.ask("create_topic", topic=topic, partitions=partitions, replicas=self.replicas, configs=configs)
        for node in self.nodes:
            led = lambda: leader_of(node.port, topic, partitions - 1) is not None
            eventually(led, True, f"{node.bootstrap} knows {topic}")

    def produce(self, client, topic, partition, wanted, codec, acks, tag, idempotent=False):
        file = self.work / f"{client.name}-{topic}-{partition}-{tag}.in"
        records.write(file, wanted)
        return client.ask("produce", topic=topic, partition=partition, file=str(file), codec=codec, acks=acks,
                          idempotent=idempotent)

    def consume(self, client, topic, partition, start, until):
        out = self.work / f"{client.name}-{topic}-{partition}-{start if isinstance(start, int) else 's'}.out"
        request = {"topic": topic, "partition": partition, "from": start, "until": until, "out": str(out)}
        client.ask("consume", **request)
        return [record for record in records.read(out) if record["o"] < until]

    def expect(self, reader, topic, partition, wanted, start="beginning", first=0, fields="kvht"):
        """Reads with `reader` and compares with what was produced."""
        until = first + len(wanted)
        got = self.consume(reader, topic, partition, start, until)
        between = self.began, int(time.time() * 1000) + 60_000
        wrong = records.difference(wanted, got, between, first, fields)
        check(wrong is None, f"{topic}-{partition} read by {reader.name}: {wrong}")

    def stored(self, topic, partition):
        """The batches on disk, which each replica has."""
        first, *others = [list(segments.batches(node.data, topic, partition)) for node in self.nodes]
        for other in others:
            same(first, other, f"the batches of another replica of {topic}-{partition}")
        return first

    def log_dirs(self, topic, partition):
        """(directory, size) of each replica, from the disks."""
        found = []
        for node in self.nodes:
            logs = segments.logs(node.data, topic, partition)
            found.append((str(logs[0].parent.parent.resolve()), sum(log.stat().st_size for log in logs)))
        return sorted(found)


def describe(judge, topic):
    """The partitions of a topic, or None; a topic may be known a moment later than it was created."""
    return judge.ask("metadata")["topics"].get(topic)


def replica_counts(judge, topic):
    """How many replicas each partition has."""
    return [len(partition["replicas"]) for partition in describe(judge, topic) or []]


def eventually(look, wanted, what, seconds=5.0):
    deadline = time.monotonic() + seconds
    while (got := look()) != wanted:
        check(time.monotonic() < deadline, f"{what}: {got!r}, expected {wanted!r}")
        time.sleep(0.05)


# --- operations of a client: f(suite, client, op) ---


def metadata(suite, client, _):
    topic = f"{client.name}-metadata"
    suite.create(suite.judge(client), topic, 4)
    own, theirs = known(client, topic, 4), known(suite.judge(client), topic, 4)
    same({node.bootstrap for node in suite.nodes}, set(addresses(own).values()), "the brokers' addresses")
    same(addresses(theirs), addresses(own), "the brokers")
    same(partitions(theirs, topic), partitions(own, topic), topic)
    for field in ("cluster", "controller"):
        if field in own:
            same(theirs[field], own[field], field)
    check_spread(partitions(own, topic), 4, sorted(addresses(own)))


def known(client, topic, count):
    """What a client says of the cluster once it knows the topic: some keep for a moment what they heard before."""
    eventually(lambda: len(partitions(client.ask("metadata"), topic)), count, f"partitions that {client.name} knows")
    return client.ask("metadata")


def addresses(found):
    """{broker id: address} of what a client says of the cluster."""
    return {broker["id"]: broker.get("addr") or f"{broker['host']}:{broker['port']}" for broker in found["brokers"]}


def partitions(found, topic):
    """(partition, leader, replicas, in sync) of each partition, as a client says."""
    return sorted((p["p"], p["leader"], p["replicas"], sorted(p["isr"])) for p in found["topics"].get(topic, []))


def check_spread(found, count, ids):
    """Each partition is in sync on every broker and led by the first of its replicas; every broker leads some."""
    wanted = [(place, replicas[0], ids, ids) for place, (_, _, replicas, _) in enumerate(found)]
    same(wanted, [(place, leader, sorted(replicas), isr) for place, leader, replicas, isr in found], "partitions")
    same((count, set(ids)), (len(found), {leader for _, leader, _, _ in found}), "partitions and leaders")


def create_topic(suite, client, _):
    topic, judge = f"{client.name}-created", suite.judge(client)
    suite.create(client, topic, 5, **{"max.message.bytes": "1500000", "cleanup.policy": "delete"})
    eventually(lambda: replica_counts(judge, topic), [suite.replicas] * 5, "replicas")
    configs = judge.ask("describe_configs", topic=topic)["configs"]
    same("1500000", configs["max.message.bytes"]["value"], "max.message.bytes")
    same("-1", configs["retention.ms"]["value"], "retention.ms")


def create_twice(suite, client, _):
    """The second creation, an unknown config and an invalid name are refused with their own errors."""
    topic = f"{client.name}-twice"
    suite.create(suite.judge(client), topic, 1)
    refusal(lambda: suite.create(client, topic, 1), r"exist|already")
    refusal(lambda: suite.create(client, f"{client.name}-bad", 1, **{"retention.ms": "soon"}), r"(?i)config")
    refusal(lambda: suite.create(client, f"{client.name} bad", 1), r"(?i)invalid.?topic|illegal|not valid|INVALID_TOPIC|characters")


def refusal(call, pattern):
    try:
        call()
    except Refused as error:
        check(re.search(pattern, str(error)), f"refused with another error than {pattern}: {error}")
        return
    raise Wrong(f"accepted what should be refused ({pattern})")


def produce(suite, client, op):
    codec = op.split()[1]
    topic = f"{client.name}-produce-{codec}"
    suite.create(suite.judge(client), topic, PARTITIONS)
    # acks=all first: what acks=0 sends before the new topic has its leader may be dropped, and nobody would hear.
    for partition, acks in reversed(list(enumerate(ACKS))):
        wanted = records.make(f"{topic}-{acks}", can=client.can)
        answer = suite.produce(client, topic, partition, wanted, codec, acks, acks)
        if acks != "0" and "offsets" in answer:
            same(list(range(len(wanted))), answer["offsets"], f"offsets with acks={acks}")
        suite.expect(suite.judge(client), topic, partition, wanted)
        stored_as(codec, suite, topic, partition)


def stored_as(codec, suite, topic, partition):
    """The broker stored what the client said to compress. (Clients send a batch plain that compression makes larger.)"""
    counts = {}
    for _, stored, _, count in suite.stored(topic, partition):
        counts[stored] = counts.get(stored, 0) + count
    good = set(counts) <= {codec, "none"} and counts.get(codec, 0) * 2 > sum(counts.values())
    check(good, f"records stored in {topic}-{partition} by codec: {counts}")


def consume(suite, client, op):
    codec = op.split()[1]
    topic, wanted = suite.reference[suite.source(client), codec]
    suite.expect(client, topic, 0, wanted)


def from_offset(suite, client, _):
    """Also from the middle of a compressed batch."""
    for codec in ("none", "zstd"):
        topic, wanted = suite.reference[suite.source(client), codec]
        suite.expect(client, topic, 0, wanted[137:], start=137, first=137)


def by_timestamp(suite, client, _):
    for codec in ("none", "lz4"):
        topic, wanted = suite.reference[suite.source(client), codec]
        at = records.FIRST_TIME + 61_500
        first = next(place for place, record in enumerate(wanted) if record["t"] >= at)
        suite.expect(client, topic, 0, wanted[first:], start={"timestamp": at}, first=first)


def idempotent(suite, client, _):
    topic = f"{client.name}-idempotent"
    suite.create(suite.judge(client), topic, 1)
    wanted = records.make(topic, can=client.can)
    again = records.make(topic + "-2", can=client.can)
    suite.produce(client, topic, 0, wanted, "lz4", "all", "1", idempotent=True)
    suite.produce(client, topic, 0, again, "none", "all", "2", idempotent=True)
    suite.expect(suite.judge(client), topic, 0, wanted + again)
    ids = {batch[2] for batch in suite.stored(topic, 0)}
    check(len(ids) == 2 and min(ids) >= 0, f"two producers stored the producer ids {ids}")


def auto_create(suite, client, _):
    """Producing to a topic that is not there makes it, with the broker's numbers of partitions and replicas."""
    topic = f"{client.name}-auto"
    wanted = records.make(topic, 20, client.can)
    suite.produce(client, topic, 0, wanted, "none", "all", "auto")
    suite.expect(suite.judge(client), topic, 0, wanted)
    eventually(lambda: replica_counts(suite.judge(client), topic), [suite.replicas], "replicas")


def too_large(suite, client, _):
    """A batch above max.message.bytes is refused; what came before and after it is kept."""
    topic, judge = f"{client.name}-large", suite.judge(client)
    suite.create(judge, topic, 1, **{"max.message.bytes": "20000"})
    small = records.make(topic, 10, client.can)
    large = [{**small[0], "v": records.encode(random.Random(topic).randbytes(60_000))}]
    suite.produce(client, topic, 0, small, "none", "all", "before")
    refusal(lambda: suite.produce(client, topic, 0, large, "none", "all", "large"), r"(?i)large|size|bytes")
    suite.produce(client, topic, 0, small, "none", "all", "after")
    suite.expect(judge, topic, 0, small + small)


def recompress(suite, client, _):
    """compression.type=gzip: whatever comes is stored as gzip, and reads as it was produced."""
    topic, judge = f"{client.name}-recompressed", suite.judge(client)
    suite.create(judge, topic, 1, **{"compression.type": "gzip"})
    wanted = []
    for codec in ("none", "zstd", "gzip"):
        part = records.make(f"{topic}-{codec}", 60, client.can)
        suite.produce(client, topic, 0, part, codec, "all", codec, idempotent=True)
        wanted += part
    suite.expect(judge, topic, 0, wanted)
    stored = {batch[1] for batch in suite.stored(topic, 0)}
    same({"gzip"}, stored, "codecs stored")


def append_time(suite, client, _):
    """message.timestamp.type=LogAppendTime: the broker's time is what is read, whatever the producer said."""
    topic, judge = f"{client.name}-appended", suite.judge(client)
    suite.create(judge, topic, 1, **{"message.timestamp.type": "LogAppendTime"})
    wanted = [{**record, "t": None} for record in records.make(topic, 60, client.can)]
    for part, codec in enumerate(("none", "lz4")):
        some = wanted[part * 30:part * 30 + 30]
        suite.produce(client, topic, 0, [{**record, "t": records.FIRST_TIME} for record in some], codec, "all", codec)
    suite.expect(judge, topic, 0, wanted)


def list_offsets(suite, client, _):
    topic, wanted = suite.reference[suite.source(client), "none"]
    at = records.FIRST_TIME + 61_500
    first = next(place for place, record in enumerate(wanted) if record["t"] >= at)
    for spec, offset in (("earliest", 0), ("latest", len(wanted)), (at, first)):
        answer = client.ask("list_offsets", topic=topic, partition=0, at=spec)
        same(offset, answer["offset"], f"the offset of {spec}")
        if spec == at and answer.get("timestamp", -1) != -1:
            same(wanted[first]["t"], answer["timestamp"], "the timestamp found")


def list_offsets_max(suite, client, _):
    topic, wanted = suite.reference[suite.source(client), "none"]
    newest = max(record["t"] for record in wanted)
    first = next(place for place, record in enumerate(wanted) if record["t"] == newest)
    answer = client.ask("list_offsets", topic=topic, partition=0, at="max")
    same((first, newest), (answer["offset"], answer["timestamp"]), "the newest record")


def describe_configs(suite, client, _):
    topic = f"{client.name}-described"
    suite.create(suite.judge(client), topic, 1, **{"segment.bytes": "2097152"})
    configs = client.ask("describe_configs", topic=topic)["configs"]
    wanted = {"segment.bytes": "2097152", "retention.ms": "-1", "cleanup.policy": "delete", "compression.type": "producer",
              "message.timestamp.type": "CreateTime", "max.message.bytes": "1048588", "retention.bytes": "-1"}
    same(wanted, {name: configs.get(name, {}).get("value") for name in wanted}, "configs")


def broker_configs(suite, client, _):
    """Each broker is asked for its own."""
    names = ["log.dirs", "num.partitions", "message.max.bytes", "log.segment.bytes", "auto.create.topics.enable"]
    for broker, address in addresses(client.ask("metadata")).items():
        configs = client.ask("describe_configs", broker=str(broker))["configs"]
        check(all(name in configs for name in names), f"missing of {names}: {sorted(configs)[:20]}")
        node = next(node for node in suite.nodes if node.bootstrap == address)
        check(str(node.data) in configs["log.dirs"]["value"], f"log.dirs of broker {broker}: {configs['log.dirs']}")


def alter_configs(suite, client, _):
    """Sets two, deletes one of them again; what was not named stays as it was."""
    topic, judge = f"{client.name}-altered", suite.judge(client)
    suite.create(judge, topic, 1, **{"segment.bytes": "2097152"})
    client.ask("alter_configs", topic=topic, mode="incremental", delete=[],
               set={"max.message.bytes": "123456", "retention.bytes": "5000000"})
    client.ask("alter_configs", topic=topic, mode="incremental", set={}, delete=["max.message.bytes"])
    wanted = {"max.message.bytes": "1048588", "retention.bytes": "5000000", "segment.bytes": "2097152"}
    eventually(lambda: configs_of(judge, topic, wanted), wanted, "configs")


def legacy_alter(suite, client, _):
    """AlterConfigs replaces everything."""
    topic, judge = f"{client.name}-legacy", suite.judge(client)
    suite.create(judge, topic, 1, **{"segment.bytes": "2097152"})
    client.ask("alter_configs", topic=topic, mode="legacy", set={"retention.bytes": "5000000"}, delete=[])
    wanted = {"retention.bytes": "5000000", "segment.bytes": "1073741824"}
    if client.name == "kafka-python":
        # It reads what is set and sends it along, as IncrementalAlterConfigs would leave it.
        wanted["segment.bytes"] = "2097152"
    eventually(lambda: configs_of(judge, topic, wanted), wanted, "configs")


def configs_of(judge, topic, names):
    configs = judge.ask("describe_configs", topic=topic)["configs"]
    return {name: configs.get(name, {}).get("value") for name in names}


def create_partitions(suite, client, _):
    topic, judge = f"{client.name}-more", suite.judge(client)
    suite.create(judge, topic, 2)
    client.ask("create_partitions", topic=topic, count=6)
    eventually(lambda: [p["p"] for p in describe(judge, topic)], list(range(6)), "partitions")
    wanted = records.make(topic, 20)
    suite.produce(judge, topic, 5, wanted, "none", "all", "new")
    suite.expect(judge, topic, 5, wanted)


def delete_records(suite, client, _):
    topic, judge = f"{client.name}-trimmed", suite.judge(client)
    suite.create(judge, topic, 1)
    wanted = records.make(topic, 100)
    suite.produce(judge, topic, 0, wanted, "none", "all", "all")
    answer = client.ask("delete_records", topic=topic, partition=0, before=42)
    same(42, answer.get("low", 42), "the low watermark")
    same(42, judge.ask("list_offsets", topic=topic, partition=0, at="earliest")["offset"], "the earliest offset")
    suite.expect(judge, topic, 0, wanted[42:], first=42)


def delete_topic(suite, client, _):
    topic, judge = f"{client.name}-deleted", suite.judge(client)
    suite.create(judge, topic, 2)
    eventually(lambda: len(describe(judge, topic) or []), 2, "partitions")
    client.ask("delete_topic", topic=topic)
    eventually(lambda: describe(judge, topic), None, topic)
    refusal(lambda: client.ask("delete_topic", topic=topic), r"(?i)unknown|not.?(exist|host)")


def log_dirs(suite, client, _):
    topic, _ = suite.reference[suite.source(client), "none"]
    found = [(one["path"], replica) for one in client.ask("log_dirs")["dirs"] for replica in one["replicas"]
             if (replica["topic"], replica["partition"]) == (topic, 0)]
    same(suite.log_dirs(topic, 0), sorted((path, replica["size"]) for path, replica in found), "directories and sizes")
    same([0] * suite.replicas, [replica["lag"] for _, replica in found], "the lags")


def quorum(suite, client, _):
    answer, known = client.ask("quorum"), suite.franz.ask("metadata")
    same((known["controller"], sorted(addresses(known))), (answer["leader"], sorted(answer["voters"])),
         "leader and voters")
    check(answer["high_watermark"] > 0 and answer["epoch"] > 0, f"quorum: {answer}")


def versions(suite, client, _):
    got = client.ask("api_versions")["apis"]
    for node in suite.nodes:
        same({str(key): list(pair) for key, pair in api_versions(node.port).items()}, got, "versions")


def after_restart(suite, client, _):
    """What the client produced, read by it (or its judge) from the restarted broker."""
    topic = f"{client.name}-produce-zstd"
    reader = client if "consume zstd" in client.offers else suite.judge(client)
    suite.expect(reader, topic, 2, records.make(f"{topic}-all", can=client.can))
    name = f"{client.name}-restarted"
    suite.create(suite.judge(client), name, 1)
    wanted = records.make(name, 30, can=client.can)
    suite.produce(client, name, 0, wanted, "none", "all", "again")
    suite.expect(suite.judge(client), name, 0, wanted)


OPERATIONS = {
    "api versions": versions,
    "metadata": metadata,
    "create topic": create_topic,
    "create twice": create_twice,
    **{f"produce {codec}": produce for codec in CODECS},
    **{f"consume {codec}": consume for codec in CODECS},
    "from offset": from_offset,
    "by timestamp": by_timestamp,
    "idempotent": idempotent,
    "auto create": auto_create,
    "too large": too_large,
    "recompress": recompress,
    "append time": append_time,
    "list offsets": list_offsets,
    "list offsets max": list_offsets_max,
    "delete records": delete_records,
    "describe configs": describe_configs,
    "broker configs": broker_configs,
    "alter configs": alter_configs,
    "legacy alter": legacy_alter,
    "create partitions": create_partitions,
    "delete topic": delete_topic,
    "log dirs": log_dirs,
    "quorum": quorum,
}
