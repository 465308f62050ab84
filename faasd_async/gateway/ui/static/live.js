// Events of the daemon, for whoever shows them; what was told last is told at once to who comes new.

import { at } from "./api.js";

const KINDS = ["hour", "now", "sample", "ended", "trouble"];
const listeners = new Map(KINDS.map((kind) => [kind, new Set()]));
const last = new Map();
const AGAIN_MILLISECONDS = 3000;

let told = () => {};

// Be told of a kind of events, until `signal` says stop.
export function on(kind, listen, signal) {
  listeners.get(kind).add(listen);
  signal.addEventListener("abort", () => listeners.get(kind).delete(listen));
  if (last.has(kind)) listen(last.get(kind));
}

// The functions there are, as far as they are known.
export function functions() {
  const queues = last.get("now")?.queues ?? [];
  return queues.flatMap((queue) => queue.functions.map((each) => ({ ...each, queue })));
}

export function connect(tell) {
  told = tell;
  // Nobody looks at a hidden page, and a browser has but six connections for a host.
  document.addEventListener("visibilitychange", look);
  look();
}

let source;

function look() {
  source?.close();
  if (!document.hidden) open();
}

function open() {
  source = new EventSource(at("/system/events"));
  source.onopen = () => told("live");
  source.onerror = ({ target }) => {
    told("lost");
    // A browser comes back by itself unless it was refused.
    if (target.readyState === EventSource.CLOSED) setTimeout(look, AGAIN_MILLISECONDS);
  };
  for (const kind of KINDS) {
    source.addEventListener(kind, (event) => hear(kind, JSON.parse(event.data)));
  }
}

function hear(kind, sheet) {
  if (kind === "sample") {
    const hour = last.get("hour");
    hour.samples = [...hour.samples, sheet].slice(-360);
    hear("hour", hour);
    return;
  }
  if (kind === "now") told("live");
  if (kind === "trouble") told("trouble", sheet.why);
  if (kind !== "ended") last.set(kind, sheet);
  for (const listen of listeners.get(kind)) listen(sheet);
}
