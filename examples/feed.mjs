// Feeds a book of Windvane with Node: opens it, writes its rows to the ticks topic, and closes it.
//
//     npm ci
//     node feed.mjs --bootstrap 127.0.0.1:9092 --prefix windvane --book fed --rows 2000 [--every SECONDS]
//
// The market is made up: row `seq` is a function of its number, one bar a minute. What to copy:
//
// - The opening says what differs from the defaults, and the program completes the rest.
// - The key of every record is the book; the default partitioner of kafkajs 2 derives the right partition from it.
// - Nanoseconds do not fit into a JavaScript number, so `ts` is a text of digits: milliseconds and six more.
// - Rows are numbered from 0 without gaps. The ticks topic is the only memory: a feed that was killed reads the last
//   record of its book there and goes on behind it. Of rows that come twice the first count.
// - The producer is idempotent, and a record is acknowledged before the next one is sent, so none is lost, doubled or
//   out of order.

import { parseArgs } from "node:util";
import { setTimeout as pause } from "node:timers/promises";
import { Kafka, Partitioners, logLevel } from "kafkajs";

const { values: options } = parseArgs({
  options: {
    bootstrap: { type: "string", default: "127.0.0.1:9092" },
    prefix: { type: "string", default: "windvane" },
    book: { type: "string", default: "fed" },
    rows: { type: "string", default: "2000" },
    every: { type: "string", default: "0" },
  },
});
const book = options.book;
const rows = Number(options.rows);
const topic = `${options.prefix}.ticks`;
const MINUTE = 60_000; // ms
const FIRST = Date.UTC(2024, 0, 1);
const EACH = 20; // rows a record: of a live market one, as soon as it is known

// History, so its rounds wait for every agent; a live feed says "timed".
const opening = {
  type: "BookOpened",
  book,
  config: {
    agents: ["vol_trend", "buy_and_hold"],
    closing: "lockstep",
    interval: MINUTE * 1e6,
    limits: { price_collar: 0.5, max_drawdown: 0.25 },
  },
};

// In cents that every language computes alike.
function price(seq) {
  const noise = ((seq * 2_654_435_761) % 2 ** 32) / 2 ** 32 - 0.5;
  return Math.floor(4_000_000 * Math.exp(0.05 * Math.sin(seq / 90) + 0.004 * noise) + 0.5) / 100;
}

// The rows start <= seq < stop as columns.
function ticks(start, stop) {
  const seqs = Array.from({ length: stop - start }, (_, k) => start + k);
  return {
    type: "Ticks",
    book,
    seq: seqs,
    ts: seqs.map((seq) => `${FIRST + MINUTE * seq}000000`),
    flags: seqs.map(() => 0),
    price: seqs.map(price),
  };
}

// What is no event gives null: the workers write a dead letter of it.
function parsed(value) {
  try {
    const message = JSON.parse(value?.toString("utf8") ?? "");
    return ["BookOpened", "Ticks", "BookClosed"].includes(message.type) ? message : null;
  } catch {
    return null;
  }
}

// The last record of the book at offsets start <= offset < stop of its partition.
async function lastWithin(kafka, partition, start, stop) {
  const consumer = kafka.consumer({ groupId: `${options.prefix}.feed.${book}.${process.pid}` });
  let last = null;
  await consumer.connect();
  await consumer.subscribe({ topic });
  await new Promise((resolve, reject) => {
    consumer.on(consumer.events.CRASH, (event) => reject(event.payload.error));
    const eachMessage = async ({ partition: at, message }) => {
      if (at !== partition) return;
      if (message.key?.toString() === book) last = parsed(message.value) ?? last;
      if (BigInt(message.offset) + 1n >= stop) resolve();
    };
    consumer.run({ autoCommit: false, eachMessage }).catch(reject);
    consumer.seek({ topic, partition, offset: `${start}` });
  });
  await consumer.disconnect();
  return last;
}

// The last record of the book, null where its partition has none; it is sought from the end backwards.
async function lastRecord(kafka) {
  const admin = kafka.admin();
  await admin.connect();
  const offsets = await admin.fetchTopicOffsets(topic);
  const metadata = await admin.fetchTopicMetadata({ topics: [topic] });
  await admin.disconnect();
  const partitionMetadata = metadata.topics[0].partitions;
  const partition = Partitioners.DefaultPartitioner()({ topic, partitionMetadata, message: { key: book } });
  const ends = offsets.find((place) => place.partition === partition);
  const [low, high] = [BigInt(ends.low), BigInt(ends.high)];
  for (let back = 64n; low < high; back *= 8n) {
    const start = high - back > low ? high - back : low;
    const last = await lastWithin(kafka, partition, start, high);
    if (last !== null || start === low) return last;
  }
  return null;
}

const kafka = new Kafka({ clientId: "feed-example", brokers: options.bootstrap.split(","), logLevel: logLevel.ERROR });
const producer = kafka.producer({
  idempotent: true,
  maxInFlightRequests: 1,
  allowAutoTopicCreation: false,
  createPartitioner: Partitioners.DefaultPartitioner,
});
const send = (message) =>
  producer.send({ topic, acks: -1, messages: [{ key: book, value: JSON.stringify(message) }] });

async function feed() {
  const last = await lastRecord(kafka);
  if (last?.type === "BookClosed") return;
  if (last === null) await send(opening);
  let seq = last?.type === "Ticks" ? last.seq.at(-1) + 1 : 0;
  process.stdout.write(`${book} goes on at row ${seq}\n`);
  while (seq < rows) {
    const stop = Math.min(seq + EACH, rows);
    await send(ticks(seq, stop));
    process.stdout.write(`rows ${seq} to ${stop - 1} are acknowledged\n`);
    seq = stop;
    await pause(1000 * Number(options.every));
  }
  await send({ type: "BookClosed", book, last: rows - 1 });
}

await producer.connect();
try {
  await feed();
  process.stdout.write(`${book} is closed\n`);
} finally {
  await producer.disconnect();
}
