// Store: the rows of the book that is shown, and the line to the server, which comes back by itself.

const MOST = 20_000;
const SILENT_MS = 3_000;
const MATRICES = ["weights", "members", "regime", "targets"];

/** The token and the name of who pressed, kept for this tab alone. */
export const person = {
  get token() { return sessionStorage.getItem("token") ?? ""; },
  get by() { return sessionStorage.getItem("by") ?? ""; },
  set(token, by) { sessionStorage.setItem("token", token); sessionStorage.setItem("by", by); },
  forget() { sessionStorage.removeItem("token"); },
};

const authorised = () => (person.token ? {Authorization: `Bearer ${person.token}`} : {});

/** Ask the server for JSON; raises an Error with its sentence and status. */
export async function ask(path, options = {}) {
  const answer = await fetch(path, {
    ...options, headers: {...authorised(), ...options.headers}, signal: AbortSignal.timeout(options.ms ?? 10_000),
  });
  const told = await answer.json();
  if (!answer.ok && told.sentence === undefined) throw Object.assign(new Error(told.error), {status: answer.status});
  return {status: answer.status, ...told};
}

/** Rows as columns, orders and fills by their keys. */
export class Rows {
  constructor(book, agents) {
    this.book = book;
    this.agents = agents;
    this.columns = null;
    this.marks = new Map();
    this.more = false;
  }

  get length() { return this.columns ? this.columns.seq.length : 0; }
  get last() { return this.length ? this.columns.seq[this.length - 1] : -1; }
  get first() { return this.length ? this.columns.seq[0] : -1; }

  /** Add rows of the server's that follow the last one, or come before the first; what is there already is passed over. */
  add(told, before = false) {
    const {rows, marks} = told;
    for (let k = 0; k < marks.seq.length; k++) {
      const mark = Object.fromEntries(Object.keys(marks).map((name) => [name, marks[name][k]]));
      this.marks.set(`${mark.kind} ${mark.order_seq} ${mark.seq}`, mark);
    }
    if (!this.columns) {
      this.columns = rows;
      this.more = told.more;
      return;
    }
    if (before) {
      this.more = told.more;
      this.join(rows, this.columns);
      return;
    }
    const fresh = rows.seq.findIndex((seq) => seq > this.last);
    if (fresh < 0) return;
    this.join(this.columns, fresh ? cut(rows, fresh) : rows);
    if (this.length > MOST) this.columns = cut(this.columns, this.length - MOST);
  }

  join(early, late) {
    const joined = {};
    for (const name of Object.keys(early)) {
      joined[name] = MATRICES.includes(name)
        ? early[name].map((column, k) => column.concat(late[name][k]))
        : early[name].concat(late[name]);
    }
    this.columns = joined;
  }
}

const cut = (rows, start) => Object.fromEntries(Object.entries(rows).map(([name, column]) => [
  name, MATRICES.includes(name) ? column.map((one) => one.slice(start)) : column.slice(start),
]));

/** The line to the server: `onState(message)`, `onBook(message)`, and `silent()` for how long nothing came. */
export class Line {
  constructor(onState, onBook) {
    this.onState = onState;
    this.onBook = onBook;
    this.book = "";
    this.heard = 0;
    this.wait = 250;
    this.dial();
  }

  /** Milliseconds since the last message where that is too long, 0 while all is well. */
  silent() {
    const since = performance.now() - this.heard;
    return this.heard && since < SILENT_MS ? 0 : since;
  }

  show(book) {
    this.book = book;
    if (this.socket?.readyState === WebSocket.OPEN) this.socket.send(JSON.stringify({book}));
  }

  dial() {
    const socket = new WebSocket(`ws://${location.host}/ws`);
    this.socket = socket;
    socket.binaryType = "arraybuffer";
    socket.onopen = () => socket.send(JSON.stringify({token: person.token, book: this.book}));
    socket.onmessage = ({data}) => {
      this.heard = performance.now();
      this.wait = 250;
      const told = JSON.parse(new TextDecoder().decode(data));
      if (told.books) this.onState(told); else this.onBook(told);
    };
    socket.onclose = () => {
      setTimeout(() => this.dial(), this.wait);
      this.wait = Math.min(2 * this.wait, 2_000);
    };
  }
}
