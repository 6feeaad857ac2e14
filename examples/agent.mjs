// An agent of Windvane in JavaScript: the rule donchian_breakout, which only writes to the proposals topic.
//
//     npm ci
//     node agent.mjs --bootstrap 127.0.0.1:9092 --prefix windvane --book main --agent breakout
//
// A book that names `breakout=remote` among its agents waits for these answers, and the orders are to the last byte
// those of the rule that is built in. What to copy:
//
// - Features come row by row. A row whose flags have 1, 2 or 4 says nothing new: the last target stands, confidence 0.
// - While flag 8 is set, features warm up: the rule sees the row and wants nothing. Flag 64 joins two levels of price.
// - One answer for every row, in the order of `seq`; the key of every record is the book, and the default partitioner
//   of kafkajs 2 derives the right partition from it.
// - The features topic is the only memory: an agent that was killed reads it again and answers again, and of answers
//   that come twice the first counts.
// - With a key (AGENT_KEY in the environment) each record is signed: HMAC-SHA256 of its bytes, in hex, in a header.

import { createHmac } from "node:crypto";
import { parseArgs } from "node:util";
import { Kafka, Partitioners, logLevel } from "kafkajs";

const { values: options } = parseArgs({
  options: {
    bootstrap: { type: "string", default: "127.0.0.1:9092" },
    prefix: { type: "string", default: "windvane" },
    book: { type: "string", default: "main" },
    agent: { type: "string", default: "breakout" },
    group: { type: "string" },
  },
});
const { book, prefix, agent } = options;
const NOTHING_NEW = 1 | 2 | 4;
const WARMING_UP = 8;
const OTHER_LEVEL = 64;
const ENTRY = 96;
const EXIT = 48;

// Go with a price above the highest of the last 96, until it is below the lowest of the last 48, and the other way
// round.
class Breakout {
  prices = [];
  seen = 0;
  side = 0;
  target = 0;
  scale = 1; // of prices that are joined where they go to another level
  last = 0;

  // Target, action and confidence at a row.
  answer(flags, mid) {
    const isNew = (flags & NOTHING_NEW) === 0;
    if (isNew && flags & OTHER_LEVEL && this.last > 0) this.scale *= this.last / mid;
    this.last = mid;
    const said = isNew ? this.step(mid * this.scale) : [this.target, 0, 0];
    return flags & WARMING_UP ? [0, 0, 0] : said;
  }

  step(price) {
    const recent = [...this.prices];
    this.prices.push(price);
    if (this.prices.length > ENTRY) this.prices.shift();
    this.seen += 1;
    if (this.seen <= ENTRY) return [0, 0, 0];
    const high = Math.max(...recent);
    const low = Math.min(...recent);
    const short = recent.slice(-EXIT);
    if (price > high) this.side = 1;
    else if (price < low) this.side = -1;
    else if (this.side > 0 && price < Math.min(...short)) this.side = 0;
    else if (this.side < 0 && price > Math.max(...short)) this.side = 0;
    let belief = 0;
    if (this.side !== 0 && high > low) belief = this.side * ((2 * (price - low)) / (high - low) - 1);
    const action = Math.sign(this.side - this.target);
    this.target = this.side;
    return [this.target, action, Math.min(Math.max(belief, 0), 1)];
  }
}

// The record that answers a record of features.
function proposals(rule, rows) {
  const answers = rows.flags.map((flags, place) => rule.answer(flags, rows.mid[place]));
  return {
    type: "Proposals",
    book,
    seq: rows.seq,
    agents: [agent],
    versions: ["1"],
    target: answers.map(([target]) => [target]),
    action: answers.map(([, action]) => [action]),
    confidence: answers.map(([, , confidence]) => [confidence]),
  };
}

function signed(raw) {
  const key = process.env.AGENT_KEY;
  return key ? { "windvane-signature": createHmac("sha256", key).update(raw).digest("hex") } : {};
}

const kafka = new Kafka({ brokers: options.bootstrap.split(","), logLevel: logLevel.ERROR });
const producer = kafka.producer({
  idempotent: true,
  maxInFlightRequests: 1,
  createPartitioner: Partitioners.DefaultPartitioner,
});
// A group of its own for every start: what was read is not remembered, since the rule needs every row again.
const consumer = kafka.consumer({ groupId: options.group ?? `${prefix}.${agent}.${process.pid}.${Date.now()}` });
await producer.connect();
await consumer.connect();
await consumer.subscribe({ topic: `${prefix}.features`, fromBeginning: true });

const rule = new Breakout();
let following = 0; // seq of the row to answer next; a stage that restarts may send rows twice
let close;
const closed = new Promise((resolve) => (close = resolve));
await consumer.run({
  autoCommit: false,
  eachMessage: async ({ message }) => {
    if (message.key?.toString() !== book) return;
    const rows = JSON.parse(message.value.toString());
    if (rows.type === "BookClosed") return close();
    if (rows.type !== "Features" || rows.seq.at(-1) < following) return;
    const old = rows.seq.filter((seq) => seq < following).length;
    for (const name of ["seq", "flags", "mid"]) rows[name] = rows[name].slice(old);
    const raw = Buffer.from(JSON.stringify(proposals(rule, rows)));
    await producer.send({
      topic: `${prefix}.proposals`,
      acks: -1,
      messages: [{ key: book, value: raw, headers: signed(raw) }],
    });
    following = rows.seq.at(-1) + 1;
    console.log(`answered up to row ${following - 1}`);
  },
});
await closed;
console.log(`${book} is closed after row ${following - 1}`);
await consumer.disconnect();
await producer.disconnect();
