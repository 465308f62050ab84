// A line chart of an hour: two lines, drawn as SVG, with a cursor for pointer and arrow keys.

import { fill, h, say, svg } from "./dom.js";
import { clock } from "./format.js";

const WIDTH = 600;
const HEIGHT = 96;
const TOP = 4;

// `main` and `second` read a value of a sample; `read` writes one; `hot` has the second in red.
export function chart({ title, main, second, secondName, read, hot = false }) {
  const at = h("span", { class: "at" });
  const value = h("span");
  const other = h("small", { class: hot ? "second hot" : "second" });
  const drawing = svg("svg", {
    viewBox: `0 0 ${WIDTH} ${HEIGHT}`,
    preserveAspectRatio: "none",
    role: "img",
    tabindex: "0",
  });
  const highest = h("span");
  const element = h(
    "section",
    { class: "card chart" },
    h("header", {}, h("h2", {}, title), at),
    h("div", { class: "now" }, value, other),
    drawing,
    h("footer", {}, h("span", {}, "1 h ago"), highest, h("span", {}, "now")),
  );
  let samples = [];
  let place = null;

  function tell() {
    const sample = samples[place ?? samples.length - 1];
    say(at, place === null || !sample ? "" : clock(sample.at));
    say(value, sample ? read(main(sample)) : "–");
    const also = sample ? second(sample) : null;
    say(other, also === null ? "" : `${read(also)} ${secondName}`);
    other.hidden = also === null;
    const cursor = drawing.querySelector(".cursor");
    if (!cursor) return;
    cursor.toggleAttribute("hidden", place === null);
    if (place !== null) {
      const x = across(place);
      for (const end of ["x1", "x2"]) cursor.setAttribute(end, x);
    }
  }

  function across(index) {
    return (WIDTH * (360 - samples.length + index + 1)) / 360;
  }

  function draw(hour) {
    samples = hour.samples;
    const values = samples.flatMap((each) => [main(each), second(each)]).filter(Boolean);
    const most = nice(Math.max(...values, 0));
    const height = (number) => HEIGHT - ((HEIGHT - TOP) * number) / most;
    fill(
      drawing,
      ...[0, 0.5, 1].map((share) => level(height(most * share))),
      ...pieces(samples, main).flatMap((piece) => [
        svg("path", { class: "area", d: area(piece, across, height) }),
        svg("path", { class: "line", d: line(piece, across, height) }),
      ]),
      ...pieces(samples, second).map((piece) =>
        svg("path", { class: `line second${hot ? " hot" : ""}`, d: line(piece, across, height) }),
      ),
      svg("line", { class: "cursor", y1: 0, y2: HEIGHT, hidden: "" }),
    );
    say(highest, samples.length ? `up to ${read(most)}` : "the first sample comes in 10 s");
    drawing.setAttribute("aria-label", `${title} in the last hour, up to ${read(most)}`);
    tell();
  }

  function look(index) {
    place = samples.length ? Math.min(Math.max(index, 0), samples.length - 1) : null;
    tell();
  }

  function leave() {
    place = null;
    tell();
  }

  drawing.addEventListener("pointermove", (event) => {
    const box = drawing.getBoundingClientRect();
    look(Math.round(((event.clientX - box.left) / box.width) * 360) - 361 + samples.length);
  });
  drawing.addEventListener("pointerleave", leave);
  drawing.addEventListener("blur", leave);
  drawing.addEventListener("keydown", (event) => {
    const step = { ArrowLeft: -1, ArrowRight: 1, PageUp: -30, PageDown: 30 }[event.key];
    if (!step) return;
    event.preventDefault();
    look((place ?? samples.length - 1) + step);
  });
  return { element, draw };
}

function level(y) {
  return svg("line", { class: "grid", x1: 0, x2: WIDTH, y1: y, y2: y });
}

// Where nothing is known there is a gap.
function pieces(samples, value) {
  const found = [];
  let piece = [];
  samples.forEach((sample, index) => {
    const number = value(sample);
    if (number === null) {
      if (piece.length) found.push(piece);
      piece = [];
    } else {
      piece.push([index, number]);
    }
  });
  if (piece.length) found.push(piece);
  return found;
}

function line(piece, across, height) {
  const points = piece.map(([index, number]) => `${across(index)},${height(number).toFixed(1)}`);
  // A lone sample is a dash.
  if (points.length === 1) points.push(`${across(piece[0][0]) - 2},${height(piece[0][1])}`);
  return `M${points.join("L")}`;
}

function area(piece, across, height) {
  const first = across(piece[0][0]);
  const last = across(piece.at(-1)[0]);
  return `${line(piece, across, height)}L${last},${HEIGHT}L${first},${HEIGHT}Z`;
}

// The next of 1, 2, 5, 10, 20, …
function nice(number) {
  if (number <= 0) return 1;
  const power = 10 ** Math.floor(Math.log10(number));
  return [1, 2, 5, 10].map((step) => step * power).find((step) => step >= number);
}
