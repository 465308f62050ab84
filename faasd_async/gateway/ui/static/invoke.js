// Calling a function: and waiting for it, or queueing the call.

import { at, segment } from "./api.js";
import { fill, h, heading, option, pill } from "./dom.js";
import { duration } from "./format.js";
import { functions, on } from "./live.js";
import { answer, fields } from "./message.js";
import { notice } from "./notice.js";

const WAYS = [
  ["sync", "Wait for the answer"],
  ["async", "Queue it"],
  ["callback", "Queue it, call back"],
];

export function show(main, { query, signal }) {
  const name = h("select", { name: "function", required: true });
  const path = h("input", { name: "path", placeholder: "/", autocomplete: "off", spellcheck: "false" });
  const url = h("input", { name: "callback", type: "url", placeholder: "http://127.0.0.1:9000/done", autocomplete: "off" });
  const callback = h("label", { class: "all" }, "Callback URL", url);
  callback.hidden = true;
  const headers = h("textarea", { name: "headers", rows: "3", placeholder: "Content-Type: text/plain", spellcheck: "false" });
  const body = h("textarea", { name: "body", rows: "6", spellcheck: "false" });
  const ways = WAYS.map(([value, text], place) => {
    const radio = h("input", { type: "radio", name: "way", value, checked: place === 0 });
    radio.addEventListener("change", () => {
      callback.hidden = value !== "callback";
      url.required = value === "callback";
    });
    return h("label", {}, radio, h("span", {}, text));
  });
  const send = h("button", { class: "main" }, "Invoke");
  const told = h("section", { class: "card pad answer", "aria-live": "polite" });
  told.hidden = true;

  async function submit(event) {
    event.preventDefault();
    const way = new FormData(form).get("way");
    send.disabled = told.hidden = true;
    try {
      const fieldsSent = read(headers.value);
      if (way === "callback") fieldsSent.push(["X-Callback-Url", url.value]);
      const door = way === "sync" ? "function" : "async-function";
      const began = performance.now();
      const rest = path.value && !/^[/?]/.test(path.value) ? `/${path.value}` : path.value;
      const got = await fetch(at(`/${door}/${segment(name.value)}`) + rest, {
        method: "POST", body: body.value, headers: fieldsSent,
      });
      const content = await got.arrayBuffer();
      if (!signal.aborted) tell(got, content, way !== "sync", (performance.now() - began) / 1000);
    } catch (reason) {
      notice(reason.message, true);
    } finally {
      send.disabled = false;
    }
  }

  function tell(got, content, queued, seconds) {
    const id = got.headers.get("x-call-id");
    const doubtful = queued && got.status === 504;
    const link = id && (got.status === 202 || doubtful)
      ? h("a", { class: "id", href: `#/call/${segment(id)}` }, id)
      : null;
    told.hidden = false;
    fill(
      told,
      h(
        "header",
        {},
        pill(String(got.status), got.ok ? "good" : "bad"),
        h("span", { class: "facts" }, came(got.status, doubtful, seconds)),
        link,
      ),
      fields([...got.headers].filter(([each]) => !["date", "server"].includes(each))),
      got.status === 202 ? null : answer(content),
    );
  }

  const form = h(
    "form",
    { class: "card pad form", onsubmit: submit },
    h("label", {}, "Function", name),
    h("label", {}, "Path and query", path),
    h("fieldset", { class: "all" }, h("label", {}, "How"), h("div", { class: "choice" }, ...ways)),
    callback,
    h("label", { class: "all" }, "Header fields, one a line", headers),
    h("label", { class: "all" }, "Body", body),
    h("div", { class: "all actions" }, send),
  );
  main.append(heading("Invoke", "A call by hand, as any client would make it."), form, told);
  on("now", () => {
    const known = functions().map((each) => each.function).sort();
    if (name.children.length === known.length) return;
    const chosen = name.value || query.get("function");
    fill(name, known.map((each) => option(each)));
    if (known.includes(chosen)) name.value = chosen;
  }, signal);
}

function came(status, doubtful, seconds) {
  if (status === 202) return "accepted, and on disk";
  if (doubtful) return "the disk was too slow to say whether the call is stored; if it is, it runs:";
  return `in ${duration(seconds)}`;
}

function read(lines) {
  return lines.split("\n").map((line) => line.trim()).filter(Boolean).map((line) => {
    const colon = line.indexOf(":");
    if (colon < 1) throw new Error(`“${line}” is not of the form Name: value`);
    return [line.slice(0, colon).trim(), line.slice(colon + 1).trim()];
  });
}
