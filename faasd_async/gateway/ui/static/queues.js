// Queues and their functions, to be paused, resumed and purged.

import { ask, segment } from "./api.js";
import { empty, h, heading, keyed, say } from "./dom.js";
import { count, duration, plural } from "./format.js";
import { on } from "./live.js";
import { doing, sure } from "./notice.js";

export function show(main, { signal }) {
  const list = h("div", { class: "stack" });
  const nothing = h("div", { class: "card" }, empty("No queue yet", "A queue is there as soon as a function uses it."));
  nothing.hidden = true;
  main.append(
    heading(
      "Queues",
      "What is paused is accepted and waits; what runs goes on. A pause outlasts restarts.",
    ),
    list,
    nothing,
  );
  on(
    "now",
    (now) => {
      keyed(list, now.queues, (each) => each.queue, queue);
      nothing.hidden = now.queues.length > 0;
    },
    signal,
  );
}

function queue({ queue: name }) {
  const paused = h("span", { class: "pill warn" }, "paused");
  const facts = h("p", { class: "facts" });
  const rows = h("tbody");
  const orders = actions(`/system/queues/${segment(name)}`, `queue ${name}`);
  const element = h(
    "section",
    { class: "card queue", "aria-label": `Queue ${name}` },
    h(
      "header",
      {},
      h("div", {}, h("h2", {}, name), paused, facts),
      orders.element,
    ),
    h(
      "table",
      { class: "table" },
      h(
        "thead",
        {},
        h(
          "tr",
          {},
          h("th", { scope: "col" }, "Function"),
          ...["Waiting", "Scheduled", "In flight"].map((each) =>
            h("th", { scope: "col", class: "num" }, each),
          ),
          h("th", { scope: "col" }),
        ),
      ),
      rows,
    ),
  );
  return {
    element,
    update(now) {
      paused.hidden = !now.paused;
      const age = now.oldest_seconds === null ? "" : `, the oldest for ${duration(now.oldest_seconds)}`;
      const waiting = now.waiting ? plural(now.waiting, "call waits", "calls wait") : "Nothing waits";
      say(facts, `${waiting}${age}; ${count(now.in_flight)} in flight`);
      orders.update(now);
      keyed(rows, now.functions, (each) => each.function, row);
    },
  };
}

function row({ function: name }) {
  const paused = h("span", { class: "pill warn" }, "paused");
  const cells = ["Waiting", "Scheduled", "In flight"].map((label) =>
    h("td", { class: "num", "data-label": label }),
  );
  const orders = actions(`/system/function/${segment(name)}`, `function ${name}`);
  const element = h(
    "tr",
    {},
    h("td", { class: "name" }, h("span", {}, name, " ", paused)),
    ...cells,
    h("td", { class: "do" }, orders.element),
  );
  return {
    element,
    update(now) {
      paused.hidden = !now.paused;
      [now.waiting, now.scheduled, now.in_flight].forEach((value, place) =>
        say(cells[place], count(value)),
      );
      orders.update(now);
    },
  };
}

function actions(path, what) {
  let isPaused = false;
  const order = (verb) => ask(`${path}/${verb}`, { method: "POST" });
  const toggle = h("button", { type: "button", class: "small", onclick: turn });
  const purge = h(
    "button",
    { type: "button", class: "small danger", "aria-label": `Purge ${what}`, onclick: throwAway },
    "Purge",
  );
  function turn() {
    const verb = isPaused ? "resume" : "pause";
    return doing(toggle, async () => {
      const { paused } = await order(verb);
      set(paused);
      return `The ${what} ${paused ? "is paused" : "goes on"}.`;
    });
  }
  async function throwAway() {
    const text = "What waits in it is gone, without a callback and without a dead letter. What runs comes to its end.";
    if (!(await sure(`Purge the ${what}?`, text, "Purge"))) return;
    await doing(purge, async () => `${plural((await order("purge")).purged, "call is", "calls are")} gone.`);
  }
  function set(paused) {
    isPaused = paused;
    const verb = paused ? "Resume" : "Pause";
    say(toggle, verb);
    toggle.setAttribute("aria-label", `${verb} ${what}`);
  }
  return {
    element: h("div", { class: "actions" }, toggle, purge),
    update: (now) => toggle.disabled || set(now.paused),
  };
}
