// A member of a group; what happens to it goes to its log (lib/members.py).
'use strict';

const fs = require('fs');

const encode = (data) => (data === null || data === undefined ? null : Buffer.from(data).toString('base64'));

class Member {
  constructor(kafka, request) {
    this.request = request;
    this.log = fs.openSync(request.log, 'a');
    this.left = request.limit ?? Infinity;
    this.owned = [];
    this.member = null;
    // kafkajs tells the generation only with heartbeats and commits, so no event here names it.
    this.consumer = kafka.consumer({
      groupId: request.group, sessionTimeout: request.session, heartbeatInterval: 500, metadataMaxAge: 1000,
      // Only a consumer that has given up looks for another coordinator: so it is not to try for long.
      maxWaitTimeInMs: 50, rebalanceTimeout: 60_000, retry: { initialRetryTime: 100, retries: 5 },
    });
    this.consumer.on('consumer.group_join', ({ payload }) => this.joined(payload));
    this.consumer.on('consumer.rebalancing', () => this.gone('revoked'));
    this.consumer.on('consumer.crash', ({ payload }) => this.say('error', { error: String(payload.error) }));
  }

  async start() {
    await this.consumer.connect();
    await this.consumer.subscribe({ topic: this.request.topic, fromBeginning: true });
    await this.consumer.run({
      autoCommit: false,
      eachBatchAutoResolve: false,
      eachBatch: (batch) => (this.running = this.take(batch)),
    });
  }

  async leave() {
    this.leaving = true;
    await this.running?.catch(() => {});
    this.gone('revoked');
    // That may never end after a node has died (tulios/kafkajs#1147); then the process does, without the group's leave.
    const gone = this.consumer.disconnect().catch((error) => this.say('error', { error: String(error) }));
    await Promise.race([gone, new Promise((resolve) => setTimeout(resolve, 15_000))]);
    this.say('left', {});
  }

  joined({ memberId, memberAssignment }) {
    // It says that it rebalances only if that is what it was told: one that the coordinator forgot just joins again.
    if (this.owned.length > 0) this.gone('lost');
    this.owned = (memberAssignment[this.request.topic] ?? []).slice().sort((a, b) => a - b);
    this.member = memberId;
    this.say('assigned', { p: this.owned, member: memberId });
  }

  gone(event) {
    this.say(event, { p: this.owned, member: this.member });
    this.owned = [];
  }

  async take({ batch, resolveOffset, commitOffsetsIfNecessary }) {
    if (this.leaving || !this.owned.includes(batch.partition)) return;
    const messages = batch.messages.slice(0, this.left);
    if (messages.length === 0) return;
    this.left -= messages.length;
    for (const message of messages) this.record(batch.partition, message);
    const last = messages[messages.length - 1].offset;
    resolveOffset(last);
    const next = Number(last) + 1;
    this.say('committing', {});
    try {
      const partitions = [{ partition: batch.partition, offset: String(next) }];
      await commitOffsetsIfNecessary({ topics: [{ topic: batch.topic, partitions }] });
      this.say('committed', { offsets: { [batch.partition]: next } });
    } catch (error) {
      this.say('refused', { error: String(error) });
      throw error;
    }
  }

  record(partition, { offset, timestamp, key, value, headers }) {
    const pairs = Object.entries(headers).flatMap(([name, values]) =>
      [values].flat().map((one) => [name, encode(one)]));
    this.say('record', { p: partition, o: Number(offset), t: Number(timestamp), k: encode(key), v: encode(value),
      h: pairs });
  }

  // hrtime is CLOCK_MONOTONIC, which all processes of a machine read alike.
  say(event, more) {
    fs.writeSync(this.log, `${JSON.stringify({ at: Number(process.hrtime.bigint()), e: event, ...more })}\n`);
  }
}

module.exports = { Member };
