// The kafkajs column of the table: one JSON request per line on stdin, one JSON answer per line on stdout.
// What kafkajs has no call for is answered as `unsupported`; its consumer always joins a group, so it reads only as a member.
'use strict';

const fs = require('fs');
const readline = require('readline');
const { Kafka, AssignerProtocol, CompressionTypes, CompressionCodecs, ConfigResourceTypes, logLevel } = require('kafkajs');
const { version } = require('kafkajs/package.json');
const snappy = require('snappyjs');
const lz4 = require('lz4-napi');
const zstd = require('@bokuweb/zstd-wasm');
const { Member } = require('./member');

const bytes = (data) => Buffer.from(data.buffer, data.byteOffset, data.byteLength);
const codec = (compress, decompress) => () => ({
  compress: async (encoder) => bytes(compress(encoder.buffer)),
  decompress: async (buffer) => bytes(decompress(buffer)),
});
CompressionCodecs[CompressionTypes.Snappy] = codec(snappy.compress, snappy.uncompress);
CompressionCodecs[CompressionTypes.LZ4] = codec(lz4.compressFrameSync, lz4.decompressFrameSync);
CompressionCodecs[CompressionTypes.ZSTD] = codec((data) => zstd.compress(data, 3), zstd.decompress);

const kafka = new Kafka({ clientId: 'interop-kafkajs', brokers: process.argv[2].split(','), logLevel: logLevel.NOTHING });
// What is refused on purpose would be retried for ten seconds.
const admin = kafka.admin({ retry: { retries: 2 } });
let member;

const operations = {
  async hello() {
    return { version: `kafkajs ${version}` };
  },

  async metadata() {
    const cluster = await admin.describeCluster();
    const { topics } = await admin.fetchTopicMetadata();
    const described = {};
    for (const topic of topics) {
      described[topic.name] = topic.partitions
        .map((p) => ({ p: p.partitionId, leader: p.leader, replicas: p.replicas, isr: p.isr }))
        .sort((a, b) => a.p - b.p);
    }
    return {
      cluster: cluster.clusterId,
      controller: cluster.controller,
      brokers: cluster.brokers.map((b) => ({ id: b.nodeId, host: b.host, port: b.port })),
      topics: described,
    };
  },

  async create_topic({ topic, partitions, replicas, configs }) {
    const configEntries = Object.entries(configs).map(([name, value]) => ({ name, value }));
    const created = await admin.createTopics({
      topics: [{ topic, numPartitions: partitions, replicationFactor: replicas, configEntries }],
    });
    if (!created) throw new Error('the topic was there already');
  },

  async delete_topic({ topic }) {
    await admin.deleteTopics({ topics: [topic] });
  },

  async create_partitions({ topic, count }) {
    await admin.createPartitions({ topicPartitions: [{ topic, count }] });
  },

  async describe_configs({ topic }) {
    const { resources } = await admin.describeConfigs({
      includeSynonyms: false,
      resources: [{ type: ConfigResourceTypes.TOPIC, name: topic }],
    });
    const configs = {};
    for (const entry of resources[0].configEntries) {
      configs[entry.configName] = { value: entry.configValue, source: entry.configSource };
    }
    return { configs };
  },

  async alter_configs({ topic, mode, set }) {
    if (mode !== 'legacy') return { ok: false, unsupported: true };
    const configEntries = Object.entries(set).map(([name, value]) => ({ name, value }));
    await admin.alterConfigs({ resources: [{ type: ConfigResourceTypes.TOPIC, name: topic, configEntries }] });
  },

  async delete_records({ topic, partition, before }) {
    // deleteTopicRecords looks only among the topics that this admin has asked for before.
    await admin.fetchTopicOffsets(topic);
    await admin.deleteTopicRecords({ topic, partitions: [{ partition, offset: String(before) }] });
  },

  async list_offsets({ topic, partition, at }) {
    if (at === 'max') return { ok: false, unsupported: true };
    if (typeof at === 'number') {
      const offsets = await admin.fetchTopicOffsetsByTimestamp(topic, at);
      return { offset: Number(offsets.find((p) => p.partition === partition).offset) };
    }
    const offsets = await admin.fetchTopicOffsets(topic);
    const one = offsets.find((p) => p.partition === partition);
    return { offset: Number(at === 'earliest' ? one.low : one.high) };
  },

  async produce({ topic, partition, file, codec: name, acks, idempotent }) {
    const records = fs.readFileSync(file, 'utf8').trimEnd().split('\n').map((line) => JSON.parse(line));
    const messages = records.map((record) => ({
      partition,
      key: decode(record.k),
      value: decode(record.v),
      headers: headers(record.h),
      ...(record.t === null ? {} : { timestamp: String(record.t) }),
    }));
    const compression = { none: CompressionTypes.None, gzip: CompressionTypes.GZIP, snappy: CompressionTypes.Snappy,
      lz4: CompressionTypes.LZ4, zstd: CompressionTypes.ZSTD }[name];
    const producer = kafka.producer({ idempotent, allowAutoTopicCreation: true });
    await producer.connect();
    try {
      const answers = await producer.send({ topic, acks: acks === 'all' ? -1 : Number(acks), compression, messages });
      // kafkajs tells the base offset of the batch; one send is one batch per partition.
      const base = answers.length ? Number(answers[0].baseOffset) : 0;
      return { offsets: messages.map((_, place) => base + place) };
    } finally {
      await producer.disconnect();
    }
  },

  async list_groups() {
    const { groups } = await admin.listGroups();
    return { groups: Object.fromEntries(groups.map((group) => [group.groupId, ''])) };
  },

  async describe_group({ group }) {
    const [found] = (await admin.describeGroups([group])).groups;
    const partitions = found.members.map(({ memberAssignment }) => {
      const decoded = AssignerProtocol.MemberAssignment.decode(memberAssignment);
      return Object.values(decoded ? decoded.assignment : {}).flat().sort((a, b) => a - b);
    });
    return { state: found.state, assignor: found.protocol, partitions };
  },

  async group_offsets({ group }) {
    const found = await admin.fetchOffsets({ groupId: group });
    const all = found.flatMap(({ partitions }) => partitions);
    return { offsets: Object.fromEntries(all.map(({ partition, offset }) => [partition, Number(offset)])) };
  },

  async alter_group_offsets({ group, topic, offsets }) {
    const partitions = Object.entries(offsets).map(([partition, offset]) => ({
      partition: Number(partition), offset: String(offset),
    }));
    await admin.setOffsets({ groupId: group, topic, partitions });
  },

  async delete_group({ group }) {
    await admin.deleteGroups([group]);
  },

  async join(request) {
    member = new Member(kafka, request);
    // It joins while this goes on.
    member.start().catch((error) => member.say('error', { error: String(error) }));
  },

  async leave() {
    await member.leave();
  },
};

function decode(text) {
  return text === null ? null : Buffer.from(text, 'base64');
}

function headers(pairs) {
  const all = {};
  for (const [name, value] of pairs) (all[name] ??= []).push(decode(value));
  return all;
}

async function main() {
  await zstd.init();
  await admin.connect();
  for await (const line of readline.createInterface({ input: process.stdin })) {
    const { op, ...request } = JSON.parse(line);
    let answer;
    try {
      answer = operations[op] ? { ok: true, ...(await operations[op](request)) } : { ok: false, unsupported: true };
    } catch (error) {
      const causes = (error.errors || []).map((e) => e.message).join('; ');
      answer = { ok: false, error: `${error.name}: ${error.message} ${causes}` };
    }
    process.stdout.write(`${JSON.stringify(answer)}\n`);
  }
  await admin.disconnect();
}

main().catch((error) => {
  process.stderr.write(`${error.stack}\n`);
  process.exit(2);
});
