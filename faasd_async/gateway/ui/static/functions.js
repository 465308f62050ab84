// Every function at a glance, and the last hour.

import { chart } from "./chart.js";
import { empty, h, heading, keyed, say } from "./dom.js";
import { count, duration, rate } from "./format.js";
import { on } from "./live.js";

const COLUMNS = ["Rate", "p50", "p99", "Running", "Waiting", "Oldest", "Errors"];

export function show(main, { signal }) {
  const charts = [
    chart({
      title: "Calls",
      main: (sample) => sample.rate,
      second: (sample) => sample.errors,
      secondName: "failed",
      read: rate,
      hot: true,
    }),
    chart({
      title: "Latency, p99",
      main: (sample) => sample.p99,
      second: (sample) => sample.p50,
      secondName: "p50",
      read: duration,
    }),
    chart({
      title: "Waiting",
      main: (sample) => sample.waiting,
      second: (sample) => sample.running,
      secondName: "running",
      read: (value) => count(value === null ? null : Math.round(value)),
    }),
  ];
  const rows = h("tbody");
  const table = h(
    "table",
    { class: "table" },
    h(
      "thead",
      {},
      h(
        "tr",
        {},
        h("th", { scope: "col" }, "Function"),
        ...COLUMNS.map((name) => h("th", { scope: "col", class: "num" }, name)),
      ),
    ),
    rows,
  );
  const nothing = empty(
    "No function is deployed yet",
    "Add one to the settings, or deploy it with ",
    h("code", {}, "faas-cli deploy"),
    ".",
  );
  nothing.hidden = true;
  main.append(
    heading("Functions", "Rates and latencies are those of the last five minutes."),
    h("div", { class: "charts" }, ...charts.map((each) => each.element)),
    h("div", { class: "card" }, table, nothing),
  );
  on("hour", (hour) => charts.forEach((each) => each.draw(hour)), signal);
  on(
    "now",
    (now) => {
      const all = now.queues
        .flatMap((queue) => queue.functions.map((each) => ({ ...each, held: queue.paused })))
        .map((each) => ({ ...each, pace: now.paces[each.function] }))
        .sort((one, other) => (one.function < other.function ? -1 : 1));
      keyed(rows, all, (each) => each.function, row);
      nothing.hidden = all.length > 0;
      table.hidden = !all.length;
    },
    signal,
  );
}

function row({ function: name }) {
  const paused = h("span", { class: "pill warn" }, "paused");
  const link = h("a", { href: `#/calls?function=${encodeURIComponent(name)}` }, name);
  const cells = COLUMNS.map((column) => h("td", { class: "num", "data-label": column }));
  const element = h("tr", {}, h("td", { class: "name" }, h("span", {}, link, " ", paused)), ...cells);
  return {
    element,
    update(now) {
      const pace = now.pace ?? { rate: 0, errors: 0, p50: null, p99: null };
      paused.hidden = !(now.paused || now.held);
      const values = [
        rate(pace.rate),
        duration(pace.p50),
        duration(pace.p99),
        `${now.running} of ${now.concurrency}`,
        count(now.waiting),
        duration(now.oldest_seconds),
        pace.errors ? rate(pace.errors) : "none",
      ];
      values.forEach((value, place) => say(cells[place], value));
      cells.at(-1).classList.toggle("hot", pace.errors > 0);
      cells.at(-1).classList.toggle("dim", !pace.errors);
    },
  };
}
