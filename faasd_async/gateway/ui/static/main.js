// Which view is shown: what stands behind the # says it.

import * as call from "./call.js";
import * as calls from "./calls.js";
import * as dead from "./dead.js";
import { fill } from "./dom.js";
import * as functions from "./functions.js";
import * as invoke from "./invoke.js";
import { connect } from "./live.js";
import * as queues from "./queues.js";

const VIEWS = {
  "": [functions, "Functions", "#/"],
  queues: [queues, "Queues", "#/queues"],
  calls: [calls, "Calls", "#/calls"],
  call: [call, "Call", "#/calls"],
  dead: [dead, "Dead letters", "#/dead"],
  invoke: [invoke, "Invoke", "#/invoke"],
};

const PULSE = {
  live: "live",
  lost: "connection lost, trying again",
};

const main = document.getElementById("main");
let shown = new AbortController();

function show() {
  const [path, query = ""] = location.hash.replace(/^#\/?/, "").split("?");
  const [name, ...rest] = path.split("/");
  const [view, title, tab] = VIEWS[name] ?? VIEWS[""];
  shown.abort();
  shown = new AbortController();
  fill(main);
  document.title = `${title} · faasd-async`;
  for (const link of document.querySelectorAll(".tabs a")) {
    if (link.getAttribute("href") === tab) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  view.show(main, {
    id: decodeURIComponent(rest.join("/")),
    query: new URLSearchParams(query),
    signal: shown.signal,
  });
}

function pulse(state, why) {
  const element = document.getElementById("pulse");
  const text = PULSE[state] ?? why;
  if (element.textContent !== text) element.textContent = text;
  element.className = `pulse ${state === "live" ? "live" : "lost"}`;
}

document.querySelector(".skip").addEventListener("click", (event) => {
  event.preventDefault();
  main.focus();
});
addEventListener("hashchange", () => {
  show();
  main.focus({ preventScroll: true });
  scrollTo(0, 0);
});
show();
connect(pulse);
