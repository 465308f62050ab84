// Dead letters: looked at, put back, thrown away.

import { ask, segment } from "./api.js";
import { empty, fill, h, heading, keyed, option, pill } from "./dom.js";
import { plural, when } from "./format.js";
import { request } from "./message.js";
import { doing, notice, sure } from "./notice.js";

const REASONS = ["failed", "exhausted", "crashed", "expired", "orphaned", "gone", "looped", "refused", "crowded"];
const PAGE = 50;

export function show(main, { signal }) {
  const name = h("input", { name: "function", placeholder: "any", autocomplete: "off" });
  const kind = h("select", { name: "kind" }, option("", "calls and callbacks"), option("call", "calls"), option("callback", "callbacks"));
  const reason = h("select", { name: "reason" }, option("", "any"), ...REASONS.map((each) => option(each)));
  const list = h("div");
  const nothing = h("div");
  const more = h("div", { class: "more" }, h("button", { type: "button", onclick: () => load(true) }, "Further letters"));
  more.hidden = true;
  const replay = h("button", { type: "button", onclick: () => replayAll() }, "Replay all of these");
  const purge = h("button", { type: "button", class: "danger", onclick: () => purgeAll() }, "Purge all of these");
  let next;
  let letters = [];
  let asked = 0;

  const filter = () => ({ function: name.value.trim(), kind: kind.value, reason: reason.value });
  const order = () => {
    const given = filter();
    return Object.values(given).some(Boolean) ? given : { all: "true" };
  };

  async function load(further) {
    const number = ++asked;
    try {
      const query = { ...filter(), limit: PAGE, after: further ? next : undefined };
      const page = await ask("/system/dead-letters", { query });
      if (number !== asked || signal.aborted) return;
      next = page.next;
      more.hidden = !next;
      letters = [...(further ? letters : []), ...page.dead_letters];
      // Those that are there already stay as they are: one may be open.
      keyed(list, letters, key, (about) => ({ element: letter(about, () => load(false)), update() {} }));
      const any = letters.length > 0;
      replay.disabled = purge.disabled = !any;
      const text = "A call that did not succeed, and a callback that could not be delivered, is kept here whole for seven days.";
      fill(nothing, any ? null : empty("No dead letters", text));
    } catch (failure) {
      notice(failure.message, true);
    }
  }

  async function replayAll() {
    await doing(replay, async () => {
      const told = await ask("/system/dead-letters/replay", { method: "POST", query: order() });
      return replayed(told);
    });
    load(false);
  }

  async function purgeAll() {
    const text = "All letters that the fields above mean, those further down included, are gone for good.";
    if (!(await sure("Purge these dead letters?", text, "Purge"))) return;
    await doing(purge, async () => {
      const { purged } = await ask("/system/dead-letters", { method: "DELETE", query: order() });
      return `${plural(purged, "letter is", "letters are")} gone.`;
    });
    load(false);
  }

  function search(event) {
    event.preventDefault();
    load(false);
  }

  for (const field of [kind, reason]) field.addEventListener("change", search);
  main.append(
    heading("Dead letters", "Oldest first. A replayed call is accepted anew, and has all its attempts again.", replay, purge),
    h(
      "form",
      { class: "filter", role: "search", onsubmit: search },
      h("label", {}, "Function", name),
      h("label", {}, "Kind", kind),
      h("label", {}, "Reason", reason),
      h("button", { class: "main" }, "Search"),
    ),
    h("div", { class: "card" }, list, nothing, more),
  );
  load(false);
}

function replayed({ replayed: count, failed }) {
  if (failed.length) throw new Error(`${failed.length} could not be replayed: ${failed[0].why}`);
  return `${plural(count, "letter is", "letters are")} on the way again.`;
}

function key({ kind, id, accept, ended, replays }) {
  return [kind, id, accept, ended, replays].join(" ");
}

function letter(about, changed) {
  const inside = h("div", { class: "inside" });
  const element = h(
    "details",
    { class: "letter" },
    h(
      "summary",
      {},
      h(
        "div",
        {},
        h("span", { class: "title" }, about.function, " "),
        pill(about.reason ?? "unreadable", "bad"),
        about.kind === "callback" ? pill("callback") : null,
        h("p", { class: "why" }, why(about)),
      ),
      h("span", { class: "when" }, when(about.ended)),
    ),
    inside,
  );
  element.addEventListener("toggle", async () => {
    if (!element.open || inside.children.length) return;
    try {
      fill(inside, await whole(about), orders(about, changed));
    } catch (failure) {
      fill(inside, h("p", { class: "facts" }, failure.message));
    }
  });
  return element;
}

function why(about) {
  if (about.unreadable) return about.unreadable;
  const tries = about.kind === "callback" ? about.tries : about.attempts.length;
  const said = about.error || `answered ${about.status}`;
  return `${said}, after ${plural(tries, "attempt", "attempts")}`;
}

const which = (about) => ({ accept: about.accept, kind: about.kind });

async function whole(about) {
  const found = await ask(`/system/dead-letters/${segment(about.id)}`, { query: which(about) });
  const sheet = found.dead_letters[0];
  const link = h("a", { class: "id", href: `#/call/${segment(about.id)}?accept=${segment(about.accept)}` }, about.id);
  const url = sheet.callback_url ? h("p", { class: "facts" }, `Callback to ${sheet.callback_url}`) : null;
  return h("div", {}, link, url, sheet.headers ? request(sheet) : null);
}

function orders(about, changed) {
  const path = `/system/dead-letters/${segment(about.id)}`;
  const replay = h("button", { type: "button", class: "small main" }, "Replay");
  const purge = h("button", { type: "button", class: "small danger" }, "Purge");
  replay.addEventListener("click", async () => {
    const done = await doing(replay, async () =>
      replayed(await ask(`${path}/replay`, { method: "POST", query: which(about) })),
    );
    if (done) changed();
  });
  purge.addEventListener("click", async () => {
    if (!(await sure("Purge this dead letter?", `${about.function}, ${about.id}`, "Purge"))) return;
    const done = await doing(purge, async () => {
      await ask(path, { method: "DELETE", query: which(about) });
      return "The letter is gone.";
    });
    if (done) changed();
  });
  return h("p", { class: "actions" }, replay, purge);
}
