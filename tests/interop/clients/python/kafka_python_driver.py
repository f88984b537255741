"""The kafka-python column of the table."""

import sys
import time

import kafka
from kafka import ConsumerRebalanceListener, KafkaConsumer, KafkaProducer, OffsetAndMetadata, TopicPartition
from kafka.admin import AlterConfigOp, ConfigResource, ConfigResourceType, KafkaAdminClient, OffsetSpec
from kafka.coordinator.assignors.cooperative_sticky import CooperativeStickyAssignor
from kafka.coordinator.assignors.range import RangePartitionAssignor
from kafka.coordinator.assignors.roundrobin import RoundRobinPartitionAssignor
from kafka.coordinator.assignors.sticky.sticky_assignor import StickyPartitionAssignor
from kafka.errors import KafkaError, NoError

import member
from driver import TIMEOUT, described, line, load, serve


class Client:
    def __init__(self, bootstrap):
        self.bootstrap = bootstrap
        self.client = KafkaAdminClient(bootstrap_servers=bootstrap, request_timeout_ms=int(TIMEOUT * 1000))

    def hello(self):
        return {"version": f"kafka-python {kafka.__version__}"}

    def api_versions(self):
        apis = self.client.api_versions()
        return {"apis": {str(int(key)): list(versions) for key, versions in apis.items()}}

    def metadata(self):
        cluster = self.client.describe_cluster()
        topics = {}
        for topic in self.client.describe_topics():
            partitions = topic["partitions"]
            topics[topic.get("name", topic.get("topic"))] = sorted((
                {"p": first(p, "partition_index", "partition"), "leader": first(p, "leader_id", "leader"),
                 "replicas": first(p, "replica_nodes", "replicas"), "isr": first(p, "isr_nodes", "isr")}
                for p in partitions), key=lambda p: p["p"])
        return {
            "cluster": cluster["cluster_id"],
            "controller": cluster["controller_id"],
            "brokers": [{"id": first(b, "broker_id", "node_id"), "host": b["host"], "port": b["port"]}
                        for b in cluster["brokers"]],
            "topics": topics,
        }

    def create_topic(self, topic, partitions, replicas, configs):
        wanted = {"num_partitions": partitions, "replication_factor": replicas, "configs": configs}
        self.client.create_topics({topic: wanted})

    def delete_topic(self, topic):
        self.client.delete_topics([topic])

    def create_partitions(self, topic, count):
        self.client.create_partitions({topic: count})

    def describe_configs(self, topic):
        found = self.client.describe_configs([ConfigResource(ConfigResourceType.TOPIC, topic)], config_filter="all")
        while "config_names" not in found and len(found) == 1:
            found = next(iter(found.values()))
        return {"configs": {name: {"value": first(c, "value", "config_value") if isinstance(c, dict) else c}
                            for name, c in found.items()}}

    def alter_configs(self, topic, mode, set, delete):
        changes = {key: (AlterConfigOp.SET, value) for key, value in set.items()}
        changes |= {key: (AlterConfigOp.DELETE, None) for key in delete}
        resource = ConfigResource(ConfigResourceType.TOPIC, topic, changes)
        self.client.alter_configs([resource], incremental=mode != "legacy")

    def delete_records(self, topic, partition, before):
        key = TopicPartition(topic, partition)
        answer = self.client.delete_records({key: before})[key]
        return {"low": answer["low_watermark"]}

    def list_offsets(self, topic, partition, at):
        spec = {"earliest": OffsetSpec.EARLIEST, "latest": OffsetSpec.LATEST, "max": OffsetSpec.MAX_TIMESTAMP}
        key = TopicPartition(topic, partition)
        found = self.client.list_partition_offsets({key: spec.get(at, at)})[key]
        return {"offset": found.offset, "timestamp": found.timestamp}

    def log_dirs(self):
        dirs = []
        for broker in self.client.describe_log_dirs():
            for one in broker.get("results", broker.get("log_dirs", [])):
                replicas = [{"topic": first(t, "name", "topic"), "partition": first(p, "partition_index", "partition"),
                             "size": first(p, "partition_size", "size"), "lag": p["offset_lag"]}
                            for t in one["topics"] for p in t["partitions"]]
                dirs.append({"path": one["log_dir"], "replicas": replicas, "total": one.get("total_bytes"),
                             "usable": one.get("usable_bytes")})
        return {"dirs": dirs}

    def quorum(self):
        partition = self.client.describe_metadata_quorum()["topics"][0]["partitions"][0]
        return {"leader": partition["leader_id"], "epoch": partition["leader_epoch"],
                "high_watermark": partition["high_watermark"],
                "voters": [v["replica_id"] for v in partition["current_voters"]]}

    def produce(self, topic, partition, file, codec, acks, idempotent):
        producer = KafkaProducer(
            bootstrap_servers=self.bootstrap, acks=acks if acks == "all" else int(acks),
            compression_type=None if codec == "none" else codec, enable_idempotence=idempotent,
            max_request_size=2_000_000, linger_ms=5, request_timeout_ms=10_000, delivery_timeout_ms=14_000,
            # A retry must not change the order that is compared.
            max_in_flight_requests_per_connection=5 if idempotent else 1)
        try:
            sent = [producer.send(topic, value=r["v"], key=r["k"], headers=r["h"], partition=partition,
                                  timestamp_ms=r["t"]) for r in load(file)]
            producer.flush(TIMEOUT)
            return {"offsets": [future.get(TIMEOUT).offset for future in sent]}
        finally:
            producer.close(TIMEOUT)

    def consume(self, topic, partition, until, out, **at):
        consumer = KafkaConsumer(bootstrap_servers=self.bootstrap, enable_auto_commit=False, fetch_max_wait_ms=50)
        key, start = TopicPartition(topic, partition), at["from"]
        try:
            consumer.assign([key])
            if start == "beginning":
                consumer.seek_to_beginning(key)
            else:
                if isinstance(start, dict):
                    start = consumer.offsets_for_times({key: start["timestamp"]})[key].offset
                consumer.seek(key, start)
            read, deadline = 0, time.monotonic() + TIMEOUT
            with open(out, "w") as file:
                while consumer.position(key) < until:
                    for record in consumer.poll(200).get(key, []):
                        file.write(line(record.partition, record.offset, record.timestamp,
                                        record.key, record.value, record.headers))
                        read += 1
                    if time.monotonic() > deadline:
                        position = consumer.position(key)
                        raise RuntimeError(f"read {read} records, next offset {position} of {until}, then nothing")
            return {"read": read}
        finally:
            consumer.close()


    def list_groups(self):
        return {"groups": {one["group_id"]: one.get("group_state", "") for one in self.client.list_groups()}}

    def describe_group(self, group):
        found = self.client.describe_groups([group])[group]
        partitions = [sorted(p for topic in member["member_assignment"]["assigned_partitions"] for p in topic["partitions"])
                      for member in found["members"]]
        return {"state": found["group_state"], "assignor": found["protocol_data"], "partitions": partitions}

    def group_offsets(self, group):
        found = self.client.list_group_offsets(group)[group]
        return {"offsets": {str(key.partition): at.offset for key, at in found.items()}}

    def alter_group_offsets(self, group, topic, offsets):
        wanted = {TopicPartition(topic, int(p)): OffsetAndMetadata(offset, "", -1) for p, offset in offsets.items()}
        refuse(self.client.alter_group_offsets(group, wanted).values())

    def delete_group_offsets(self, group, topic, partition):
        refuse(self.client.delete_group_offsets(group, [TopicPartition(topic, partition)]).values())

    def delete_group(self, group):
        for said in self.client.delete_groups([group]).values():
            if said != "OK":
                raise RuntimeError(said)

    def join(self, **how):
        self.member = Member(self.bootstrap, **how)

    def leave(self):
        self.member.leave()


class Member(member.Member, ConsumerRebalanceListener):
    ASSIGNORS = {"range": RangePartitionAssignor, "roundrobin": RoundRobinPartitionAssignor,
                 "sticky": StickyPartitionAssignor, "cooperative-sticky": CooperativeStickyAssignor}

    def __init__(self, bootstrap, group, topic, protocol, assignor, session, log, limit=None, instance=None):
        self.topic = topic
        self.config = {
            "bootstrap_servers": bootstrap, "group_id": group, "enable_auto_commit": False,
            "auto_offset_reset": "earliest", "fetch_max_wait_ms": 50, "metadata_max_age_ms": 1000,
            "session_timeout_ms": session, "heartbeat_interval_ms": 500, "group_instance_id": instance,
            "partition_assignment_strategy": [self.ASSIGNORS[assignor]],
        }
        super().__init__(log, limit)

    def open(self):
        while True:
            try:
                self.consumer = KafkaConsumer(**self.config)
                break
            except KafkaError as error:
                # Unlike the other clients it does not wait for a broker that starts.
                self.say("error", error=f"{type(error).__name__}: {error}")
                time.sleep(0.1)
        self.consumer.subscribe([self.topic], listener=self)

    def on_partitions_assigned(self, assigned):
        self.assigned(*self.which(assigned))

    def on_partitions_revoked(self, revoked):
        # Called by the loop that would have to send a commit; what was taken is committed before each poll.
        self.gone("revoked", *self.which(revoked))

    def on_partitions_lost(self, lost):
        self.lost(*self.which(lost))

    def which(self, partitions):
        metadata = self.consumer.group_metadata()
        return [one.partition for one in partitions], metadata.generation_id, metadata.member_id

    def poll(self):
        # A poll that ends in the middle of a join leaves it in flight, and now and then kafka-python never ends it then.
        for some in self.consumer.poll(1000).values():
            for one in some:
                yield described(one.partition, one.offset, one.timestamp, one.key, one.value, one.headers)

    def commit(self, offsets):
        self.consumer.commit({TopicPartition(self.topic, partition): OffsetAndMetadata(offset, "", -1)
                              for partition, offset in offsets.items()})

    def close(self):
        self.consumer.close(autocommit=False)


def refuse(answers):
    """Each is the class of an error, or of none."""
    for error in answers:
        if error is not NoError:
            raise error


def first(found, *names):
    return next(found[name] for name in names if name in found)


if __name__ == "__main__":
    serve(Client(sys.argv[1]))
