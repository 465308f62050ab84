// The calls that changed last, to be searched by id, function and state.

import { ask } from "./api.js";
import { empty, fill, h, heading, option, pill } from "./dom.js";
import { duration, mood, shortened, when } from "./format.js";
import { functions, on } from "./live.js";
import { notice } from "./notice.js";

const STATES = [
  "scheduled", "queued", "running", "retrying",
  "succeeded", "failed", "dead", "cancelled", "expired",
];
const COLUMNS = [
  ["Call"], ["Function", "half"], ["State", "half"],
  ["Status", "num"], ["Took", "num"], ["Tries", "num"], ["Changed", "num"],
];
const PAGE = 25;

export function show(main, { query, signal }) {
  const id = h("input", { name: "id", placeholder: "any", value: query.get("id"), autocomplete: "off", spellcheck: "false" });
  const name = h("input", { name: "function", placeholder: "any", value: query.get("function"), list: "functions", autocomplete: "off" });
  const names = h("datalist", { id: "functions" });
  const state = h("select", { name: "state" }, option("", "any"), ...STATES.map((each) => option(each)));
  state.value = query.get("state") ?? "";
  const rows = h("tbody");
  const table = h(
    "table",
    { class: "table" },
    h("thead", {}, h("tr", {}, ...COLUMNS.map(([text, kind]) => h("th", { scope: "col", class: kind }, text)))),
    rows,
  );
  const nothing = h("div");
  const older = h("button", { type: "button", onclick: () => load(true) }, "Older calls");
  const more = h("div", { class: "more" }, older);
  more.hidden = true;
  let next;
  let turned = false;
  let asked = 0;

  async function load(further) {
    const number = ++asked;
    try {
      const page = await ask("/system/calls", {
        query: {
          id: id.value.trim(), function: name.value.trim(), state: state.value, limit: PAGE,
          after: further ? next : undefined,
        },
      });
      if (number !== asked || signal.aborted) return;
      turned = Boolean(further);
      next = page.next;
      more.hidden = !next;
      if (further) rows.append(...page.calls.map(row));
      else fill(rows, page.calls.map(row));
      table.hidden = !rows.children.length;
      fill(nothing, table.hidden ? none() : null);
    } catch (reason) {
      notice(reason.message, true);
    }
  }

  function none() {
    if (next) return empty("None among the latest calls", "Older ones may be: look further.");
    const anything = id.value || name.value || state.value;
    return anything
      ? empty("No such call", "How a call ended is known for a day, or for as long as its function keeps results.")
      : empty("No call yet", "Queue one under ", h("a", { href: "#/invoke" }, "Invoke"), ".");
  }

  function search(event) {
    event?.preventDefault();
    const given = new URLSearchParams();
    for (const field of [id, name, state]) {
      if (field.value.trim()) given.set(field.name, field.value.trim());
    }
    history.replaceState(null, "", `#/calls${given.size ? `?${given}` : ""}`);
    load(false);
  }

  state.addEventListener("change", search);
  main.append(
    heading("Calls", "Queued calls, the one that changed last first."),
    h(
      "form",
      { class: "filter", role: "search", onsubmit: search },
      h("label", {}, "Id", id),
      h("label", {}, "Function", name),
      h("label", {}, "State", state),
      h("button", { class: "main" }, "Search"),
      names,
    ),
    h("div", { class: "card" }, table, nothing, more),
  );
  table.hidden = true;
  on("now", () => {
    const known = functions().map((each) => each.function);
    if (names.children.length !== known.length) fill(names, known.map((each) => option(each)));
  }, signal);
  // Whoever has turned the page, or is about to use what they see, keeps it.
  on("ended", () => turned || rows.contains(document.activeElement) || load(false), signal);
  load(false);
}

function row(call) {
  const target = `#/call/${encodeURIComponent(call.id)}?accept=${encodeURIComponent(call.accept)}`;
  const cells = [
    h("a", { class: "id", href: target, title: call.id }, shortened(call.id)),
    call.function,
    pill(call.state, mood(call.state)),
    call.status === null ? "–" : String(call.status),
    duration(call.seconds),
    String(call.attempts),
    when(call.changed),
  ];
  return h(
    "tr",
    {},
    ...cells.map((cell, place) => {
      const [label, kind] = COLUMNS[place];
      return h("td", { class: kind, "data-label": place ? label : undefined }, cell);
    }),
  );
}
