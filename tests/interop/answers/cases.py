"""What is asked: for every API in every version, what works and what is refused.

A case is a function of the version that yields (label, request fields) and may use `world`: `world.topic(name)` makes a
topic that holds three records per partition and returns its name, `world.id(name)` is its topic id, `world.ask` sends a
request on the side. Names carry the version, so that cases do not meet.
"""

import time

from batch import batch, joined

ZERO = "AAAAAAAAAAAAAAAAAAAAAA"
STRANGER = "AAAAAAAAAAAAAAAAAAAAKg"
ALIEN = "no-such-topic"


def api_versions(world, v):
    named = {"clientSoftwareName": "wire", "clientSoftwareVersion": "1.0"} if v >= 3 else {}
    yield "plain", named
    if v >= 3:
        yield "bad software name", {"clientSoftwareName": "-bad-", "clientSoftwareVersion": "1.0"}
        yield "empty software version", {"clientSoftwareName": "wire", "clientSoftwareVersion": ""}


def metadata(world, v):
    name = world.topic("metadata", partitions=2)
    quiet = {"allowAutoTopicCreation": False} if v >= 4 else {}
    yield "one", {"topics": [{"name": name}], **quiet}
    yield "none" if v else "all", {"topics": [], **quiet}
    if v >= 4:
        yield "unknown", {"topics": [{"name": ALIEN}], **quiet}
        yield "invalid name", {"topics": [{"name": "bad name"}], **quiet}
        yield "empty name", {"topics": [{"name": ""}], **quiet}
        yield "twice", {"topics": [{"name": name}, {"name": name}], **quiet}
        yield "known and unknown", {"topics": [{"name": name}, {"name": ALIEN}], **quiet}
    if 8 <= v:
        yield "authorized operations", {"topics": [{"name": name}], "includeTopicAuthorizedOperations": True, **quiet}
    if v >= 12:
        yield "by id", {"topics": [{"name": None, "topicId": world.id(name)}], **quiet}
        yield "unknown id", {"topics": [{"name": None, "topicId": STRANGER}], **quiet}


def produce(world, v):
    name = world.topic("produce", filled=False)
    small = world.topic("small", filled=False, configs={"max.message.bytes": "200"})

    def one(records, acks=-1, topic=name, index=0, topic_id=None):
        named = {"topicId": topic_id or world.id(topic)} if v >= 13 else {"name": topic}
        return {"acks": acks, "timeoutMs": 3000,
                "topicData": [{**named, "partitionData": [{"index": index, "records": records}]}]}

    now = int(time.time() * 1000)
    yield "first", one(batch())
    yield "acks 1", one(batch(), acks=1)
    yield "unknown partition", one(batch(), index=7)
    yield "negative partition", one(batch(), index=-1)
    yield "unknown topic", one(batch(), topic=ALIEN, topic_id=STRANGER)
    yield "acks 2", one(batch(), acks=2)
    yield "acks -2", one(batch(), acks=-2)
    yield "wrong crc", one(batch(bad_crc=True))
    yield "magic 1", one(batch(magic=1))
    yield "magic 3", one(batch(magic=3))
    yield "two batches", one(joined(batch(), batch(base=3)))
    yield "no bytes", one("")
    yield "count above the records", one(batch(count=5, last_delta=4))
    yield "count below the records", one(batch(count=2, last_delta=1))
    yield "last delta is not count - 1", one(batch(last_delta=7))
    yield "no records in the batch", one(batch(values=(), count=0, last_delta=-1))
    yield "unknown codec", one(batch(attributes=7))
    yield "gzip that is none", one(batch(attributes=1))
    yield "control batch", one(batch(attributes=0x20))
    yield "transactional without producer", one(batch(attributes=0x10))
    yield "base offset 100", one(batch(base=100))
    yield "future time", one(batch(time=now + 10 * 86_400_000))
    yield "garbage", one("AAECAwQF")
    yield "too large", one(batch(values=(b"x" * 300,)), topic=small)
    producer = 700_000 + v
    yield "sequence 0", one(batch(producer=producer, epoch=0, sequence=0))
    yield "sequence 0 again", one(batch(producer=producer, epoch=0, sequence=0))
    yield "sequence gap", one(batch(producer=producer, epoch=0, sequence=9))
    yield "sequence 3", one(batch(producer=producer, epoch=0, sequence=3))
    yield "higher epoch, sequence 5", one(batch(producer=producer, epoch=1, sequence=5))
    yield "higher epoch", one(batch(producer=producer, epoch=1, sequence=0))
    yield "older epoch", one(batch(producer=producer, epoch=0, sequence=6))
    yield "unknown producer, sequence 5", one(batch(producer=producer + 1000, epoch=0, sequence=5))
    yield "producer without sequence", one(batch(producer=producer, epoch=1, sequence=-1))
    yield "topic twice", {**one(batch()), "topicData": one(batch())["topicData"] * 2}
    yield "no topics", {"acks": -1, "timeoutMs": 1000, "topicData": []}


def fetch(world, v):
    name = world.topic("fetch")
    at_once = {"maxWaitMs": 50, "minBytes": 0, "maxBytes": 1 << 20}
    if v >= 7:
        at_once.update({"sessionId": 0, "sessionEpoch": -1})

    def one(offset, topic=name, topic_id=None, index=0, **more):
        named = {"topicId": topic_id or world.id(topic)} if v >= 13 else {"topic": topic}
        partition = {"partition": index, "fetchOffset": offset, "partitionMaxBytes": 1 << 20, **more}
        return {**at_once, "topics": [{**named, "partitions": [partition]}]}

    yield "from 0", one(0)
    yield "from 1", one(1)
    yield "at the end", one(3)
    yield "beyond the end", one(4)
    yield "negative", one(-5)
    yield "unknown topic", one(0, topic=ALIEN, topic_id=STRANGER)
    yield "unknown partition", one(0, index=9)
    yield "one byte", one(0, partitionMaxBytes=1)
    yield "no bytes in all", {**one(0), "maxBytes": 1}
    yield "committed", {**one(0), "isolationLevel": 1}
    if v >= 9:
        yield "epoch 0", one(0, currentLeaderEpoch=0)
        yield "epoch 5", one(0, currentLeaderEpoch=5)
    if v >= 12:
        yield "last epoch 0", one(3, currentLeaderEpoch=0, lastFetchedEpoch=0)
        yield "last epoch 3", one(3, currentLeaderEpoch=0, lastFetchedEpoch=3)
    if v >= 7:
        yield "unknown session", {**one(0), "sessionId": 4242, "sessionEpoch": 3}
        yield "session 0 epoch 1", {**one(0), "sessionId": 0, "sessionEpoch": 1}
        yield "new session", {**one(0), "sessionId": 0, "sessionEpoch": 0}
        session = world.last["response"].get("sessionId", 0)
        yield "same session, nothing new", {**at_once, "sessionId": session, "sessionEpoch": 1, "topics": []}
        yield "same session, wrong epoch", {**at_once, "sessionId": session, "sessionEpoch": 7, "topics": []}
        yield "same session, forget", {
            **at_once, "sessionId": session, "sessionEpoch": 2, "topics": [], "forgottenTopicsData": [
                {**({"topicId": world.id(name)} if v >= 13 else {"topic": name}), "partitions": [0]}]}
        yield "end of the session", {**one(0), "sessionId": session, "sessionEpoch": -1}
        yield "ended session", {**at_once, "sessionId": session, "sessionEpoch": 3, "topics": []}


def list_offsets(world, v):
    name = world.topic("offsets")
    partial = world.topic("trimmed")
    world.ask(21, 2, {"topics": [{"name": partial, "partitions": [{"partitionIndex": 0, "offset": 2}]}],
                      "timeoutMs": 3000})

    def one(timestamp, topic=name, index=0, **more):
        level = {"isolationLevel": 0} if v >= 2 else {}
        return {"replicaId": -1, **level, "topics": [
            {"name": topic, "partitions": [{"partitionIndex": index, "timestamp": timestamp, **more}]}]}

    yield "latest", one(-1)
    yield "earliest", one(-2)
    yield "latest of trimmed", one(-1, topic=partial)
    yield "earliest of trimmed", one(-2, topic=partial)
    yield "at the time", one(1_700_000_000_000)
    yield "before the time", one(0)
    yield "after the time", one(1_900_000_000_000)
    yield "unknown topic", one(-1, topic=ALIEN)
    yield "unknown partition", one(-1, index=9)
    yield "committed", {**one(-1), **({"isolationLevel": 1} if v >= 2 else {})}
    for special in (-3, -4, -5, -6, -7):
        yield f"special {special}", one(special)
    if v >= 4:
        yield "epoch 0", one(-1, currentLeaderEpoch=0)
        yield "epoch 5", one(-1, currentLeaderEpoch=5)
    yield "twice", {**one(-1), "topics": [{"name": name, "partitions": [{"partitionIndex": 0, "timestamp": -1}] * 2}]}


def leader_epoch(world, v):
    name = world.topic("epochs")

    def one(epoch, topic=name, index=0, current=-1):
        return {**({"replicaId": -1} if v >= 3 else {}), "topics": [{"topic": topic, "partitions": [
            {"partition": index, "currentLeaderEpoch": current, "leaderEpoch": epoch}]}]}

    yield "epoch 0", one(0)
    yield "epoch 5", one(5)
    yield "epoch -1", one(-1)
    yield "current 0", one(0, current=0)
    yield "current 5", one(0, current=5)
    yield "unknown topic", one(0, topic=ALIEN)
    yield "unknown partition", one(0, index=9)


def create_topics(world, v):
    def one(name, partitions=1, factor=1, dry=False, **more):
        return {"timeoutMs": 5000, "validateOnly": dry, "topics": [
            {"name": name, "numPartitions": partitions, "replicationFactor": factor, **more}]}

    def config(name, value):
        return {"configs": [{"name": name, "value": value}]}

    def assigned(*replicas):
        return {"assignments": [{"partitionIndex": index, "brokerIds": ids} for index, ids in enumerate(replicas)]}

    yield "dry", one(f"created-dry-{v}", 3, dry=True)
    yield "plain", one(f"created-{v}", 3)
    yield "again", one(f"created-{v}", 3)
    yield "with config", one(f"created-config-{v}", **config("retention.ms", "1000"))
    yield "unknown config", one(f"created-bad-{v}", **config("no.such.config", "1"))
    yield "config of a wrong type", one(f"created-bad-{v}", **config("retention.ms", "soon"))
    yield "config out of range", one(f"created-bad-{v}", **config("max.message.bytes", "-5"))
    yield "config null", one(f"created-bad-{v}", **config("retention.ms", None))
    yield "invalid cleanup policy", one(f"created-bad-{v}", **config("cleanup.policy", "burn"))
    yield "min insync above the factor", one(f"created-insync-{v}", **config("min.insync.replicas", "3"))
    yield "no partitions", one(f"created-bad-{v}", 0)
    yield "minus 2 partitions", one(f"created-bad-{v}", -2)
    if v >= 4:
        yield "default partitions and factor", one(f"created-defaults-{v}", -1, -1)
    yield "factor 0", one(f"created-bad-{v}", 1, 0)
    yield "factor 3", one(f"created-bad-{v}", 1, 3)
    for label, bad in (("space", "bad name"), ("dot", "."), ("dots", ".."), ("empty", ""), ("long", "x" * 250),
                       ("slash", "a/b"), ("not ascii", "caf\u00e9")):
        yield f"name: {label}", one(bad)
    yield "longest name", one(f"{v}" + "y" * 248)
    yield "dotted", one(f"with.dot.{v}")
    yield "collides with dotted", one(f"with_dot_{v}")
    yield "twice in a request", {**one("x"), "topics": one(f"created-twice-{v}")["topics"] * 2}
    yield "assigned", one(f"created-assigned-{v}", -1, -1, **assigned([1], [1]))
    yield "assigned to a stranger", one(f"created-bad-{v}", -1, -1, **assigned([7]))
    yield "assigned twice to one", one(f"created-bad-{v}", -1, -1, **assigned([1, 1]))
    yield "assigned to nobody", one(f"created-bad-{v}", -1, -1, **assigned([]))
    yield "assigned with a hole", one(f"created-bad-{v}", -1, -1, assignments=[{"partitionIndex": 1, "brokerIds": [1]}])
    yield "assigned and counted", one(f"created-bad-{v}", 1, 1, **assigned([1]))
    yield "no topics", {"timeoutMs": 1000, "topics": []}


def delete_topics(world, v):
    first, second = world.topic("deleted"), world.topic("deleted-id")
    second_id = world.id(second)

    def one(*names):
        if v >= 6:
            return {"timeoutMs": 5000, "topics": [{"name": name} for name in names]}
        return {"timeoutMs": 5000, "topicNames": list(names)}

    yield "one", one(first)
    world.settle()
    yield "gone", one(first)
    yield "unknown", one(ALIEN)
    yield "nothing", one()
    if v >= 6:
        yield "by id", {"timeoutMs": 5000, "topics": [{"name": None, "topicId": second_id}]}
        yield "unknown id", {"timeoutMs": 5000, "topics": [{"name": None, "topicId": STRANGER}]}


def create_partitions(world, v):
    name = world.topic("grown", filled=False)

    def one(count, topic=name, dry=False, assignments=None):
        return {"timeoutMs": 5000, "validateOnly": dry, "topics": [
            {"name": topic, "count": count, "assignments": assignments}]}

    yield "dry", one(4, dry=True)
    yield "to 3", one(3)
    yield "to 3 again", one(3)
    yield "to 2", one(2)
    yield "to 0", one(0)
    yield "to -1", one(-1)
    yield "unknown", one(4, topic=ALIEN)
    yield "assigned", one(4, assignments=[{"brokerIds": [1]}])
    yield "assigned to a stranger", one(5, assignments=[{"brokerIds": [9]}])
    yield "assigned too few", one(7, assignments=[{"brokerIds": [1]}])
    yield "twice", {"timeoutMs": 5000, "topics": [{"name": name, "count": 9}, {"name": ALIEN, "count": 9}]}


def delete_records(world, v):
    name = world.topic("records")

    def one(offset, topic=name, index=0):
        return {"timeoutMs": 3000, "topics": [
            {"name": topic, "partitions": [{"partitionIndex": index, "offset": offset}]}]}

    yield "before 1", one(1)
    yield "before 1 again", one(1)
    yield "before 0", one(0)
    yield "beyond the end", one(9)
    yield "negative", one(-2)
    yield "unknown topic", one(1, topic=ALIEN)
    yield "unknown partition", one(1, index=5)
    yield "all", one(-1)


TOPIC, BROKER = 2, 4
KEYS = ["cleanup.policy", "compression.type", "delete.retention.ms", "file.delete.delay.ms", "flush.messages", "flush.ms",
        "index.interval.bytes", "max.message.bytes", "message.timestamp.type", "min.insync.replicas", "preallocate",
        "retention.bytes", "retention.ms", "segment.bytes", "segment.index.bytes", "segment.jitter.ms", "segment.ms",
        "unclean.leader.election.enable", "min.cleanable.dirty.ratio", "message.timestamp.after.max.ms",
        "message.timestamp.before.max.ms", "max.compaction.lag.ms", "min.compaction.lag.ms"]


def describe_configs(world, v):
    name = world.topic("described", configs={"retention.ms": "1234", "cleanup.policy": "delete"})

    def one(kind, resource, keys, **more):
        return {"resources": [{"resourceType": kind, "resourceName": resource, "configurationKeys": keys}], **more}

    yield "topic keys", one(TOPIC, name, KEYS)
    yield "with synonyms", one(TOPIC, name, ["retention.ms", "segment.bytes"], includeSynonyms=True)
    if v >= 3:
        yield "documentation", one(TOPIC, name, ["retention.ms"], includeDocumentation=True)
    yield "unknown key", one(TOPIC, name, ["no.such.key"])
    yield "no keys", one(TOPIC, name, [])
    yield "unknown topic", one(TOPIC, ALIEN, None)
    yield "invalid topic", one(TOPIC, "bad name", None)
    yield "empty topic", one(TOPIC, "", None)
    yield "broker", one(BROKER, "1", ["num.partitions", "message.max.bytes", "log.segment.bytes", "log.retention.ms",
                                      "log.retention.hours", "auto.create.topics.enable", "node.id", "compression.type",
                                      "log.flush.interval.messages", "default.replication.factor"])
    yield "broker default", one(BROKER, "", ["num.partitions"])
    yield "other broker", one(BROKER, "7", ["num.partitions"])
    yield "broker that is no number", one(BROKER, "x", ["num.partitions"])
    yield "unknown type", one(77, "x", None)
    yield "topic twice", {"resources": one(TOPIC, name, ["retention.ms"])["resources"] * 2}


SET, DELETE, APPEND, SUBTRACT = range(4)


def incremental_alter(world, v):
    name = world.topic("altered")

    def one(*changes, topic=name, kind=TOPIC, dry=False):
        return {"validateOnly": dry, "resources": [{"resourceType": kind, "resourceName": topic, "configs": [
            {"name": key, "configOperation": op, "value": value} for key, op, value in changes]}]}

    def look():
        return world.look(name, ["retention.ms", "cleanup.policy", "segment.bytes", "max.message.bytes"])

    yield "dry", one(("retention.ms", SET, "5"), dry=True)
    yield "set", one(("retention.ms", SET, "5000"), ("segment.bytes", SET, "2000000"))
    look()
    yield "delete", one(("retention.ms", DELETE, None))
    yield "delete again", one(("retention.ms", DELETE, None))
    yield "append", one(("cleanup.policy", APPEND, "compact"))
    look()
    yield "append again", one(("cleanup.policy", APPEND, "compact"))
    yield "subtract", one(("cleanup.policy", SUBTRACT, "delete"))
    look()
    yield "append to a number", one(("retention.ms", APPEND, "1"))
    yield "unknown key", one(("no.such.key", SET, "1"))
    yield "wrong type", one(("retention.ms", SET, "soon"))
    yield "one good, one bad", one(("retention.ms", SET, "777"), ("max.message.bytes", SET, "-9"))
    look()
    yield "set null", one(("retention.ms", SET, None))
    yield "unknown operation", one(("retention.ms", 9, "1"))
    yield "key twice", one(("retention.ms", SET, "1"), ("retention.ms", SET, "2"))
    yield "no changes", one()
    yield "unknown topic", one(("retention.ms", SET, "1"), topic=ALIEN)
    yield "invalid topic", one(("retention.ms", SET, "1"), topic="bad name")
    yield "empty topic", one(("retention.ms", SET, "1"), topic="")
    yield "broker", one(("log.retention.ms", SET, "555555"), topic="1", kind=BROKER)
    yield "broker, read-only", one(("log.dirs", SET, "/x"), topic="1", kind=BROKER)
    yield "all brokers", one(("log.retention.ms", SET, "666666"), topic="", kind=BROKER)
    yield "all brokers, delete", one(("log.retention.ms", DELETE, None), topic="", kind=BROKER)
    yield "broker, delete", one(("log.retention.ms", DELETE, None), topic="1", kind=BROKER)
    yield "other broker", one(("log.retention.ms", SET, "1"), topic="9", kind=BROKER)
    yield "broker that is no number", one(("log.retention.ms", SET, "1"), topic="x", kind=BROKER)
    yield "unknown type", one(("a", SET, "1"), kind=77)
    yield "resource twice", {"resources": one(("retention.ms", SET, "8"))["resources"] * 2}


def alter(world, v):
    name = world.topic("replaced", configs={"segment.bytes": "3000000"})

    def one(*configs, topic=name, kind=TOPIC, dry=False):
        return {"validateOnly": dry, "resources": [{"resourceType": kind, "resourceName": topic, "configs": [
            {"name": key, "value": value} for key, value in configs]}]}

    def look():
        return world.look(name, ["retention.ms", "segment.bytes"])

    yield "dry", one(("retention.ms", "5"), dry=True)
    look()
    yield "set", one(("retention.ms", "5000"))
    look()
    yield "nothing", one()
    look()
    yield "unknown key", one(("no.such.key", "1"))
    yield "wrong type", one(("retention.ms", "soon"))
    yield "null", one(("retention.ms", None))
    yield "unknown topic", one(("retention.ms", "1"), topic=ALIEN)
    yield "unknown type", one(("a", "1"), kind=77)


def describe_cluster(world, v):
    yield "plain", {}
    yield "operations", {"includeClusterAuthorizedOperations": True}
    if v >= 1:
        yield "controllers", {"endpointType": 2}
        yield "unknown endpoint type", {"endpointType": 9}
    if v >= 2:
        yield "fenced", {"includeFencedBrokers": True}


def describe_topic_partitions(world, v):
    first, second = world.topic("paged-a", partitions=3, filled=False), world.topic("paged-b", partitions=2, filled=False)
    both = {"topics": [{"name": first}, {"name": second}]}
    yield "both", both
    yield "unknown", {"topics": [{"name": ALIEN}]}
    yield "invalid", {"topics": [{"name": "bad name"}]}
    yield "limit 2", {**both, "responsePartitionLimit": 2}
    yield "from the cursor", {**both, "cursor": {"topicName": first, "partitionIndex": 2}}
    yield "cursor behind", {**both, "cursor": {"topicName": second, "partitionIndex": 1}}
    yield "cursor at an unknown topic", {**both, "cursor": {"topicName": "paged-aa", "partitionIndex": 0}}
    yield "cursor beyond", {**both, "cursor": {"topicName": first, "partitionIndex": 9}}
    yield "negative cursor", {**both, "cursor": {"topicName": first, "partitionIndex": -1}}


def init_producer_id(world, v):
    plain = {"transactionalId": None, "transactionTimeoutMs": 60000}
    # Kafka answers COORDINATOR_LOAD_IN_PROGRESS while it fetches a block of ids; clients ask again.
    while world.ask(22, 4, plain)["response"]["errorCode"] == 14:
        world.settle()
    yield "plain", plain
    if v >= 3:
        yield "producer without epoch", {**plain, "producerId": 5, "producerEpoch": -1}
        yield "epoch without producer", {**plain, "producerId": -1, "producerEpoch": 5}
    yield "empty transactional id", {**plain, "transactionalId": ""}


def log_dirs(world, v):
    name = world.topic("sized", partitions=2)
    yield "one topic", {"topics": [{"topic": name, "partitions": [0, 1]}]}
    yield "one partition", {"topics": [{"topic": name, "partitions": [1]}]}
    yield "unknown topic", {"topics": [{"topic": ALIEN, "partitions": [0]}]}
    yield "no topics", {"topics": []}


def quorum(world, v):
    def one(topic, index):
        return {"topics": [{"topicName": topic, "partitions": [{"partitionIndex": index}]}]}

    yield "plain", one("__cluster_metadata", 0)
    yield "other topic", one(ALIEN, 0)
    yield "other partition", one("__cluster_metadata", 1)
    yield "nothing", {"topics": []}


CASES = {18: api_versions, 3: metadata, 0: produce, 1: fetch, 2: list_offsets, 23: leader_epoch, 19: create_topics,
         20: delete_topics, 37: create_partitions, 21: delete_records, 32: describe_configs, 44: incremental_alter,
         33: alter, 60: describe_cluster, 75: describe_topic_partitions, 22: init_producer_id, 35: log_dirs, 55: quorum}
