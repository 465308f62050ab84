// One call's life, with what it was called with and what came of it.

import { ask, at, segment } from "./api.js";
import { empty, fill, h, heading, pill } from "./dom.js";
import { duration, mood, when } from "./format.js";
import { bar, life } from "./life.js";
import { request } from "./message.js";
import { doing, sure } from "./notice.js";

const UNDELIVERED = new Set(["pending", "waiting"]);
const AGAIN_MILLISECONDS = 2000;
const LAST = new Set(["succeeded", "failed", "dead", "cancelled", "expired"]);

export function show(main, { id, query, signal }) {
  const accept = query.get("accept") ?? "";
  const path = `/call/${segment(id)}`;
  const top = h("div");
  const facts = h("dl", { class: "facts-grid" });
  const course = h("div");
  const called = h("div");
  const result = h("div");
  const sheet = h(
    "div",
    {},
    h("section", { class: "card pad" }, facts),
    h("section", { class: "card pad" }, h("h2", {}, "Its life"), course),
    h(
      "div",
      { class: "pair" },
      h("section", { class: "card pad" }, h("h2", {}, "Request"), called),
      h("section", { class: "card pad" }, h("h2", {}, "Result"), result),
    ),
  );
  sheet.hidden = true;
  main.append(top, sheet);
  fill(result, h("p", { class: "facts" }, "None yet."));

  function tell(call) {
    sheet.hidden = false;
    const over = LAST.has(call.state);
    const lead = h("span", {}, call.function, " ", pill(call.state, mood(call.state)));
    fill(top, heading(h("span", { class: "id" }, call.id), lead, ...(over ? [] : [cancel(path, accept)])));
    fill(
      facts,
      fact("Queue", call.queue ?? "–"),
      fact("Accepted", when(call.accepted)),
      fact("Status", call.status === null ? "–" : String(call.status)),
      fact("Attempts", String(call.attempts.length)),
    );
    fill(course, bar(call), life(call));
    if (over && !result.told) showResult(call, path, accept, result, signal);
    result.told = over;
    // Its events end with it, its callback does not.
    if (over && UNDELIVERED.has(call.callback?.state)) setTimeout(look, AGAIN_MILLISECONDS);
  }

  async function look() {
    if (signal.aborted) return;
    const call = await ask(path, { query: { accept } }).catch(() => null);
    if (call && !signal.aborted) tell(call);
  }

  start();

  async function start() {
    let call;
    try {
      call = await ask(path, { query: { accept } });
    } catch (reason) {
      const card = h("div", { class: "card" }, empty("This call is not known", reason.message));
      if (!signal.aborted) fill(top, heading(h("span", { class: "id" }, id), "–"), card);
      return;
    }
    if (signal.aborted) return;
    tell(call);
    showRequest(id, accept, called, signal);
    if (!LAST.has(call.state)) follow(path, accept, tell, signal);
  }
}

function fact(name, value) {
  return h("div", {}, h("dt", {}, name), h("dd", {}, value));
}

function follow(path, accept, tell, signal) {
  const source = new EventSource(at(`${path}/events`, { accept }));
  signal.addEventListener("abort", () => source.close());
  for (const state of ["scheduled", "queued", "running", "retrying", ...LAST]) {
    source.addEventListener(state, (event) => {
      if (LAST.has(state)) source.close();
      tell(JSON.parse(event.data));
    });
  }
}

function cancel(path, accept) {
  const button = h("button", { type: "button", class: "danger" }, "Cancel this call");
  button.addEventListener("click", async () => {
    const text = "It is not run, or not any further. Its callback says that it was cancelled.";
    if (!(await sure("Cancel this call?", text, "Cancel it"))) return;
    await doing(button, async () => {
      const answer = await fetch(at(path, { accept }), { method: "DELETE" });
      if (answer.status !== 202) throw new Error((await answer.text()).trim());
      return "The call is cancelled.";
    });
  });
  return button;
}

async function showRequest(id, accept, place, signal) {
  try {
    const sheet = await ask(`/system/calls/${segment(id)}`, { query: { accept } });
    if (signal.aborted) return;
    const gone = "The queue forgets a request when its call has ended; dead letters keep theirs.";
    fill(place, sheet.request ? request(sheet.request) : h("p", { class: "facts" }, gone));
  } catch (reason) {
    fill(place, h("p", { class: "facts" }, reason.message));
  }
}

async function showResult(call, path, accept, place, signal) {
  const last = call.attempts.at(-1);
  const took = last ? `${call.status} after ${duration(last.seconds)}` : String(call.status ?? "");
  const lead = [h("p", { class: "request-line" }, took), call.error ? h("p", {}, call.error) : null];
  try {
    const { result } = await ask(`/system/calls/${segment(call.id)}`, { query: { accept } });
    if (signal.aborted) return;
    const url = at(`${path}/result`, { accept });
    const save = result?.size
      ? h("a", { class: "button small", href: url, download: `result-${call.id}` }, "Save")
      : null;
    fill(place, ...lead, result ? request(result) : h("p", { class: "facts" }, "No answer is kept."), save);
  } catch (reason) {
    fill(place, ...lead, h("p", { class: "facts" }, reason.message));
  }
}
