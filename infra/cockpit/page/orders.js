// Orders of a person: a press is confirmed, sent with a nonce until it is answered, and told of until it is obeyed.

import {element, number, plain, price, signed, span, write} from "./words.js";
import {ask, person} from "./store.js";

const AGAIN_MS = 1_000;
const TIMEOUT_MS = 3_000;
const LATE_MS = 2_000;
const GIVE_UP_MS = 15 * 60_000;

const WILL = {
  halt: () => "sends no more orders and keeps its position; an order that was sent is still filled",
  flatten: (state) => `halts and closes its position from the next good row on${state.qty ? `: ${state.qty > 0 ? "sells" : "buys"} ${number(Math.abs(state.qty), 5)} at about ${price(state.price)}` : ", of which there is none"}`,
  "reduce-only": () => "sends only orders that make its position smaller",
  resume: () => "trades again",
};

/** What a press will do, and when. */
export function meaning(action, state) {
  const holds = state.position ? `It holds ${signed(state.position, 3)} of its capital${state.qty == null ? "" : ` (${signed(state.qty, 5)})`} at ${price(state.price)}.` : "It holds nothing.";
  const when = state.spacing ? `in effect with its next row, usually within ${span(state.spacing)}` : "in effect with its next row";
  return `Book ${state.book} ${WILL[action](state)}. It is ${when}. ${holds} The book is ${state.state ?? "without a row"} now.`;
}

let answer = () => {};

/** What a dialog was answered, null where it was left. Its close event comes late: it may be open again by then. */
function opened(dialog) {
  answer(null);
  return new Promise((resolve) => {
    answer = resolve;
    const form = dialog.querySelector("form");
    form.onsubmit = (event) => { event.preventDefault(); dialog.close("yes"); };
    form.querySelector("[value=cancel]").onclick = () => dialog.close("");
    dialog.oncancel = () => { dialog.returnValue = ""; };
    dialog.onclose = () => {
      if (!dialog.open) resolve(dialog.returnValue === "yes" ? Object.fromEntries(new FormData(form)) : null);
    };
    dialog.returnValue = "";
    dialog.showModal();
  });
}

/** Ask for name and token; true once both are there. */
export async function signIn(dialog) {
  dialog.querySelector("[name=by]").value = person.by;
  const given = await opened(dialog);
  dialog.querySelector("[name=token]").value = "";
  if (given) person.set(given.token.trim(), given.by.trim());
  return given !== null;
}

/** Confirm a press and send it; `answers` is the list that tells of it. */
export async function press(action, state, dialogs, answers) {
  if (!(person.token && person.by) && !(await signIn(dialogs.sign))) return;
  const word = plain(action.replace("-", " "));
  const dialog = dialogs.confirm;
  dialog.querySelector("h2").textContent = `${word[0].toUpperCase()}${word.slice(1)} ${state.book}?`;
  dialog.querySelector("p").textContent = meaning(action, state);
  dialog.querySelector("[type=submit]").textContent = `${word[0].toUpperCase()}${word.slice(1)} ${state.book}`;
  dialog.querySelector("[name=reason]").value = "";
  const given = await opened(dialog);
  if (given) await send({action, book: state.book, by: person.by, reason: given.reason.trim(), nonce: crypto.randomUUID()}, answers);
}

async function send(body, answers) {
  const line = element("li", {class: "wait"});
  const text = element("span");
  const close = element("button", {type: "button", "aria-label": "Dismiss"}, "×");
  line.append(text, close);
  answers.prepend(line);
  const began = Date.now();
  let stopped = false;
  close.onclick = () => { stopped = true; line.remove(); };
  const tell = (kind, sentence) => {
    if (line.className !== kind) line.className = kind;
    write(text, `${kind === "done" ? "✓" : kind === "wait" ? "…" : "!"} ${sentence}`);
  };
  tell("wait", `${body.action} of book ${body.book} is on its way`);
  while (!stopped) {
    const late = Date.now() - began > LATE_MS;
    try {
      const told = await ask("/api/control", {
        method: "POST", body: JSON.stringify(body), ms: TIMEOUT_MS, headers: {"Content-Type": "application/json"},
      });
      if (told.status === 200) return tell("done", `${told.sentence}. Pressed by ${body.by}.`);
      if (told.final) return tell("failed", `NOT OBEYED: ${told.sentence}`);
      tell(late ? "failed" : "wait", `${late ? "NOT OBEYED YET: " : ""}${told.sentence}`);
    } catch (error) {
      const status = error.status ?? 0;
      if (status === 401 || status === 429) person.forget();
      if (status >= 400 && (status < 500 || body.action === "resume")) {
        return tell("failed", `NOT SENT: ${error.message}`);
      }
      // Resume is not repeated after an error: somebody else may have halted since. The others only make it safer.
      tell("failed", `NOT SENT YET, trying again: ${status ? error.message : "the server does not answer"}. In need: windvane control ${body.action} --book ${body.book}`);
    }
    if (Date.now() - began > GIVE_UP_MS) return tell("failed", `${text.textContent.slice(2)}. Given up.`);
    await new Promise((resolve) => setTimeout(resolve, AGAIN_MS));
  }
}
