// The life of a call: as a bar, to scale, and step by step.

import { h, svg } from "./dom.js";
import { between, duration, when } from "./format.js";

const WIDTH = 1000;

// How long it waited, and how long each attempt took.
export function bar(call) {
  const begin = new Date(call.accepted).getTime();
  const end = new Date(call.finished ?? Date.now()).getTime();
  const whole = Math.max(end - begin, 1);
  const drawing = svg("svg", { class: "span-bar", viewBox: `0 0 ${WIDTH} 10`, preserveAspectRatio: "none", "aria-hidden": "true" });
  drawing.append(svg("rect", { class: "wait", width: WIDTH, height: 10 }));
  for (const attempt of call.attempts) {
    if (!attempt.at) continue;
    const from = new Date(attempt.at).getTime();
    const to = attempt.seconds === null ? end : from + attempt.seconds * 1000;
    const x = (WIDTH * (from - begin)) / whole;
    const width = Math.max((WIDTH * (to - from)) / whole, 4);
    const bad = attempt.status >= 400 || attempt.status === 0;
    drawing.append(svg("rect", { class: bad ? "ran bad" : "ran", x: Math.min(x, WIDTH - width), width, height: 10 }));
  }
  return drawing;
}

export function life(call) {
  const steps = [step("", "Accepted", `${when(call.accepted)}, into the queue ${call.queue ?? ""}`)];
  let from = call.accepted;
  for (const attempt of call.attempts) {
    const waited = attempt.at && from ? `, after ${duration(Math.max(between(from, attempt.at), 0))}` : "";
    steps.push(tried(attempt, waited));
    from = attempt.at && attempt.seconds !== null
      ? new Date(new Date(attempt.at).getTime() + attempt.seconds * 1000).toISOString()
      : null;
  }
  if (call.next_attempt) steps.push(step("", "Next attempt", when(call.next_attempt)));
  if (call.finished) {
    const all = duration(between(call.accepted, call.finished));
    const good = call.state === "succeeded" ? "good" : "bad";
    const why = call.error ? `: ${call.error}` : "";
    steps.push(step(good, capital(call.state), `${when(call.finished)}, ${all} after it was accepted${why}`));
  }
  if (call.callback) steps.push(called(call.callback));
  return h("ol", { class: "life" }, ...steps);
}

function tried(attempt, waited) {
  const name = `Attempt ${attempt.number}`;
  if (attempt.status === null) return step("", `${name} runs`, `since ${when(attempt.at)}${waited}`);
  const bad = attempt.status >= 400 || attempt.status === 0;
  const why = attempt.error ? `: ${attempt.error}` : "";
  const told = `${when(attempt.at)}${waited}; it took ${duration(attempt.seconds)}${why}`;
  return step(bad ? "bad" : "good", `${name} answered ${attempt.status || "nothing"}`, told);
}

const CALLBACKS = {
  pending: ["", "Callback, when it has ended"],
  waiting: ["", "Callback on its way"],
  delivered: ["good", "Callback delivered"],
  given_up: ["bad", "Callback given up"],
  forgotten: ["", "Callback, long ago"],
};

function called(callback) {
  const [mood, text] = CALLBACKS[callback.state];
  const told = [
    callback.tries ? `${callback.tries} ${callback.tries === 1 ? "try" : "tries"}` : "",
    callback.status ? `last answered ${callback.status}` : "",
    callback.error ?? "",
    callback.next_try ? `next at ${when(callback.next_try)}` : "",
  ];
  return step(mood, text, told.filter(Boolean).join(", "));
}

function step(mood, what, told) {
  return h("li", { class: mood }, h("p", { class: "what" }, what), h("p", { class: "when" }, told));
}

function capital(word) {
  return word[0].toUpperCase() + word.slice(1);
}
