// A request or an answer: its first line, its fields, its body.

import { h } from "./dom.js";
import { bytes } from "./format.js";

const SHOWN = 64 * 1024;

export function fields(pairs) {
  return h(
    "table",
    { class: "fields" },
    h("tbody", {}, ...pairs.map(([name, value]) => h("tr", {}, h("td", {}, name), h("td", {}, value)))),
  );
}

// As the operator's routes tell either.
export function request(sheet) {
  return h(
    "div",
    {},
    sheet.target === undefined ? null : h("p", { class: "request-line" }, `POST ${sheet.target}`),
    fields(sheet.headers),
    stored(sheet),
  );
}

function stored(sheet) {
  if (sheet.body === null) {
    return h("p", { class: "facts" }, `${bytes(sheet.size)}, kept beside the queue; SHA-256 ${sheet.sha256}`);
  }
  if (!sheet.body) return h("p", { class: "facts" }, "No body.");
  return h("div", {}, h("p", { class: "facts" }, `${bytes(sheet.size)}${sheet.body_encoding === "base64" ? ", no text: shown as Base64" : ""}`), pre(sheet.body));
}

// As it came: text, if it is any, and not more of it than can be looked at.
export function answer(buffer) {
  if (!buffer.byteLength) return h("p", { class: "facts" }, "No body.");
  const beginning = new Uint8Array(buffer, 0, Math.min(buffer.byteLength, SHOWN));
  const text = new TextDecoder("utf-8").decode(beginning, { stream: true });
  const cut = buffer.byteLength > SHOWN ? `, of which the first ${bytes(SHOWN)} are shown` : "";
  return h("div", {}, h("p", { class: "facts" }, `${bytes(buffer.byteLength)}${cut}`), pre(text));
}

function pre(text) {
  return h("pre", { tabindex: "0" }, text);
}
