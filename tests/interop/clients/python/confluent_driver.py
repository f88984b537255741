"""The confluent-kafka-python column of the table."""

import sys
import time

import confluent_kafka
from confluent_kafka import Consumer, ConsumerGroupTopicPartitions, Producer, TopicPartition
from confluent_kafka.admin import (
    AdminClient, AlterConfigOpType, ConfigEntry, ConfigResource, NewPartitions, NewTopic, OffsetSpec, ResourceType,
)

import member
from driver import TIMEOUT, Unsupported, described, line, load, serve


class Client:
    def __init__(self, bootstrap):
        self.bootstrap = bootstrap
        self.client = AdminClient({"bootstrap.servers": bootstrap})
        self.consumer = Consumer({
            "bootstrap.servers": bootstrap, "group.id": "assign-only", "enable.auto.commit": False,
            "fetch.wait.max.ms": 50, "check.crcs": True,
        })

    def hello(self):
        return {"version": f"confluent-kafka {confluent_kafka.__version__} (librdkafka {confluent_kafka.libversion()[0]})"}

    def metadata(self):
        cluster = self.client.describe_cluster(request_timeout=TIMEOUT).result()
        listed = self.client.list_topics(timeout=TIMEOUT)
        topics = {}
        for topic in listed.topics.values():
            topics[topic.topic] = [
                {"p": p.id, "leader": p.leader, "replicas": p.replicas, "isr": p.isrs}
                for p in sorted(topic.partitions.values(), key=lambda p: p.id)
            ]
        return {
            "cluster": cluster.cluster_id,
            "controller": cluster.controller.id,
            "brokers": [{"id": n.id, "host": n.host, "port": n.port} for n in cluster.nodes],
            "topics": topics,
        }

    def create_topic(self, topic, partitions, replicas, configs):
        wanted = NewTopic(topic, num_partitions=partitions, replication_factor=replicas, config=configs)
        finish(self.client.create_topics([wanted], request_timeout=TIMEOUT))

    def delete_topic(self, topic):
        finish(self.client.delete_topics([topic], request_timeout=TIMEOUT))

    def create_partitions(self, topic, count):
        finish(self.client.create_partitions([NewPartitions(topic, count)], request_timeout=TIMEOUT))

    def describe_configs(self, topic):
        resource = ConfigResource(ResourceType.TOPIC, topic)
        entries = finish(self.client.describe_configs([resource], request_timeout=TIMEOUT))
        return {"configs": {e.name: {"value": e.value, "default": e.is_default} for e in entries.values()}}

    def alter_configs(self, topic, mode, set, delete):
        if mode == "legacy":
            resource = ConfigResource(ResourceType.TOPIC, topic, set_config=set)
            finish(self.client.alter_configs([resource], request_timeout=TIMEOUT))
            return
        changes = [ConfigEntry(k, v, incremental_operation=AlterConfigOpType.SET) for k, v in set.items()]
        changes += [ConfigEntry(k, None, incremental_operation=AlterConfigOpType.DELETE) for k in delete]
        resource = ConfigResource(ResourceType.TOPIC, topic, incremental_configs=changes)
        finish(self.client.incremental_alter_configs([resource], request_timeout=TIMEOUT))

    def delete_records(self, topic, partition, before):
        done = self.client.delete_records([TopicPartition(topic, partition, before)], request_timeout=TIMEOUT)
        return {"low": finish(done).low_watermark}

    def list_offsets(self, topic, partition, at):
        spec = {"earliest": OffsetSpec.earliest, "latest": OffsetSpec.latest, "max": OffsetSpec.max_timestamp}.get(at)
        spec = spec() if spec else OffsetSpec.for_timestamp(at)
        found = finish(self.client.list_offsets({TopicPartition(topic, partition): spec}, request_timeout=TIMEOUT))
        return {"offset": found.offset, "timestamp": found.timestamp}

    def produce(self, topic, partition, file, codec, acks, idempotent):
        producer = Producer({
            "bootstrap.servers": self.bootstrap, "compression.codec": codec, "acks": acks,
            "enable.idempotence": idempotent, "message.max.bytes": 2_000_000, "linger.ms": 5,
            # A retry must not change the order that is compared.
            "max.in.flight": 5 if idempotent else 1,
        })
        offsets, failed = {}, []

        def report(place):
            def delivered(error, message):
                if error:
                    failed.append(str(error))
                else:
                    offsets[place] = message.offset()
            return delivered

        for place, record in enumerate(load(file)):
            timestamp = {} if record["t"] is None else {"timestamp": record["t"]}
            producer.produce(topic, value=record["v"], key=record["k"], partition=partition,
                             headers=record["h"], on_delivery=report(place), **timestamp)
        left = producer.flush(TIMEOUT)
        if failed or left:
            raise RuntimeError(f"{left} never reported, failed: {failed[:3]}")
        return {"offsets": [offsets[place] for place in sorted(offsets)]}

    def consume(self, topic, partition, until, out, **at):
        start = at["from"]
        if start == "beginning":
            start = confluent_kafka.OFFSET_BEGINNING
        elif isinstance(start, dict):
            asked = [TopicPartition(topic, partition, start["timestamp"])]
            start = self.consumer.offsets_for_times(asked, timeout=TIMEOUT)[0].offset
        self.consumer.assign([TopicPartition(topic, partition, start)])
        read, position, deadline = 0, -1, time.monotonic() + TIMEOUT
        try:
            with open(out, "w") as file:
                while position < until:
                    for message in self.consumer.consume(500, timeout=0.2):
                        if message.error():
                            raise RuntimeError(str(message.error()))
                        file.write(line(message.partition(), message.offset(), message.timestamp()[1],
                                        message.key(), message.value(), message.headers()))
                        read, position = read + 1, message.offset() + 1
                    if time.monotonic() > deadline:
                        raise RuntimeError(f"read {read} records, next offset {position} of {until}, then nothing")
        finally:
            self.consumer.unassign()
        return {"read": read}


    def list_groups(self):
        listed = self.client.list_consumer_groups(request_timeout=TIMEOUT).result(TIMEOUT)
        if listed.errors:
            raise RuntimeError(str(listed.errors))
        return {"groups": {one.group_id: one.state.name for one in listed.valid}}

    def describe_group(self, group):
        found = finish(self.client.describe_consumer_groups([group], request_timeout=TIMEOUT))
        partitions = [sorted(one.partition for one in member.assignment.topic_partitions) for member in found.members]
        return {"state": found.state.name, "assignor": found.partition_assignor, "partitions": partitions}

    def group_offsets(self, group):
        asked = [ConsumerGroupTopicPartitions(group)]
        found = finish(self.client.list_consumer_group_offsets(asked, request_timeout=TIMEOUT))
        return {"offsets": {str(one.partition): one.offset for one in found.topic_partitions}}

    def alter_group_offsets(self, group, topic, offsets):
        wanted = [TopicPartition(topic, int(partition), offset) for partition, offset in offsets.items()]
        asked = [ConsumerGroupTopicPartitions(group, wanted)]
        for one in finish(self.client.alter_consumer_group_offsets(asked, request_timeout=TIMEOUT)).topic_partitions:
            if one.error:
                raise RuntimeError(str(one.error))

    def delete_group(self, group):
        finish(self.client.delete_consumer_groups([group], request_timeout=TIMEOUT))

    def join(self, **how):
        self.member = Member(self.bootstrap, **how)

    def leave(self):
        self.member.leave()


class Member(member.Member):
    def __init__(self, bootstrap, group, topic, protocol, assignor, session, log, limit=None, instance=None):
        self.topic = topic
        self.config = {
            "bootstrap.servers": bootstrap, "group.id": group, "enable.auto.commit": False,
            "auto.offset.reset": "earliest", "fetch.wait.max.ms": 50, "topic.metadata.refresh.interval.ms": 1000,
            **({"group.instance.id": instance} if instance else {}),
        }
        if protocol == "consumer":
            self.config |= {"group.protocol": "consumer", "group.remote.assignor": assignor}
        else:
            self.config |= {"partition.assignment.strategy": assignor, "session.timeout.ms": session,
                            "heartbeat.interval.ms": 500}
        super().__init__(log, limit)

    def open(self):
        self.consumer = Consumer(self.config)
        self.consumer.subscribe([self.topic], on_assign=self.saying(self.assigned), on_revoke=self.saying(self.revoked),
                                on_lost=self.saying(self.lost))

    def saying(self, what):
        return lambda _, partitions: what([one.partition for one in partitions], self.generation(),
                                          self.consumer.memberid())

    def generation(self):
        """As librdkafka writes a group's metadata: a magic of seven bytes, then the generation."""
        return int.from_bytes(bytes(self.consumer.consumer_group_metadata())[7:11], sys.byteorder, signed=True)

    def poll(self):
        wait = 0.1
        for _ in range(200):
            found, wait = self.consumer.poll(wait), 0
            if found is None:
                return
            if found.error():
                self.say("error", error=str(found.error()))
            else:
                yield described(found.partition(), found.offset(), found.timestamp()[1], found.key(), found.value(),
                                found.headers())

    def commit(self, offsets):
        wanted = [TopicPartition(self.topic, partition, offset) for partition, offset in offsets.items()]
        for answer in self.consumer.commit(offsets=wanted, asynchronous=False):
            if answer.error:
                raise RuntimeError(f"partition {answer.partition}: {answer.error}")

    def close(self):
        self.consumer.close()


def finish(futures):
    return next(iter(futures.values())).result(TIMEOUT)


if __name__ == "__main__":
    serve(Client(sys.argv[1]))
