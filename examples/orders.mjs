// Reads the orders of Windvane with Node: committed ones only, each once, times to the nanosecond.
//
//     npm ci
//     node orders.mjs --bootstrap 127.0.0.1:9092 --prefix windvane --group my-venue [--until-idle SECONDS]
//
// The group's offset is committed after an order was acted on, so a crash in between brings the order again: act by
// its id, which is the same every time.

import { parseArgs } from "node:util";
import { Kafka, logLevel } from "kafkajs";

const { values: options } = parseArgs({
  options: {
    bootstrap: { type: "string", default: "127.0.0.1:9092" },
    prefix: { type: "string", default: "windvane" },
    group: { type: "string", default: "windvane-orders-example" },
    "until-idle": { type: "string", default: "Infinity" },
  },
});

// A JavaScript number holds whole numbers up to 2^53 only, and nanoseconds are more. As strings they survive JSON.parse.
// Inside a JSON string the quotes would be escaped, so this finds fields and nothing else.
// What is no order gives null: one bad record must not stop the rest.
function parseOrder(text) {
  try {
    const order = JSON.parse(text.replace(/"(ts|valid_until)":(-?\d+)/g, '"$1":"$2"'));
    return { ...order, ts: BigInt(order.ts), valid_until: BigInt(order.valid_until) };
  } catch {
    return null;
  }
}

// The text field says the same to the nanosecond: 2024-01-31T23:59:59.000000001Z
function nanoseconds(time) {
  const [seconds, fraction] = time.slice(0, -1).split(".");
  return BigInt(Date.parse(`${seconds}Z`)) * 1_000_000n + BigInt(fraction);
}

const lastSeq = new Map(); // book -> seq of the last order: ids are made of both, and seq only grows

function isNew(order) {
  if (order.seq <= (lastSeq.get(order.book) ?? -1)) return false;
  lastSeq.set(order.book, order.seq);
  return true;
}

async function act(order) {
  if (nanoseconds(order.time) !== order.ts) throw new Error(`${order.id}: time and ts differ`);
  const expired = BigInt(Date.now()) * 1_000_000n > order.valid_until;
  const shown = { ...order, ts: `${order.ts}`, valid_until: `${order.valid_until}`, expired };
  process.stdout.write(`${JSON.stringify(shown)}\n`); // a venue would send it, unless it has expired
}

const kafka = new Kafka({ clientId: "orders-example", brokers: options.bootstrap.split(","), logLevel: logLevel.ERROR });
const consumer = kafka.consumer({ groupId: options.group, readUncommitted: false });
let quietSince = Infinity; // from when the group has given us partitions

consumer.on(consumer.events.GROUP_JOIN, () => (quietSince = Date.now()));
await consumer.connect();
await consumer.subscribe({ topics: [`${options.prefix}.orders`], fromBeginning: true });
await consumer.run({
  autoCommitInterval: 1000,
  eachMessage: async ({ partition, message }) => {
    const order = parseOrder(message.value?.toString("utf8") ?? "");
    if (order === null) process.stderr.write(`partition ${partition}, offset ${message.offset} is passed over\n`);
    else if (isNew(order)) await act(order);
    quietSince = Date.now();
  },
});

const idle = 1000 * Number(options["until-idle"]);
const watch = setInterval(() => Date.now() - quietSince > idle && stop(), 200);

async function stop() {
  clearInterval(watch);
  await consumer.disconnect(); // waits for the order at hand and commits
}
process.once("SIGINT", stop).once("SIGTERM", stop);
