// Elements made of text. Nothing here, nor anywhere else, makes markup of a string.

export function h(tag, about = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(about)) {
    if (value === undefined || value === null || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name === "class") element.className = value;
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.flat().filter((child) => child !== null && child !== undefined));
  return element;
}

export function svg(tag, about = {}, ...children) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(about)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

export function fill(element, ...children) {
  element.replaceChildren(...children.flat().filter(Boolean));
}

// Changes only what differs, so that a selection in it stays.
export function say(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

// One child of `parent` for each thing, in their order: made once, brought up to date each time.
export function keyed(parent, things, key, make) {
  const there = parent.keyed ?? (parent.keyed = new Map());
  const wanted = new Set(things.map(key));
  for (const [name, child] of there) {
    if (!wanted.has(name)) {
      child.element.remove();
      there.delete(name);
    }
  }
  things.forEach((thing, place) => {
    const name = key(thing);
    if (!there.has(name)) there.set(name, make(thing));
    const child = there.get(name);
    child.update(thing);
    if (parent.children[place] !== child.element) {
      parent.insertBefore(child.element, parent.children[place] ?? null);
    }
  });
}

export function pill(text, mood = "") {
  return h("span", { class: `pill ${mood}` }, text);
}

export function empty(title, ...rest) {
  return h("div", { class: "empty" }, h("strong", {}, title), ...rest);
}

export function heading(title, lead, ...actions) {
  return h(
    "div",
    { class: "head" },
    h("div", {}, h("h1", {}, title), h("p", { class: "lead" }, lead)),
    actions.length ? h("div", { class: "actions" }, ...actions) : null,
  );
}

export function option(value, text = value) {
  return h("option", { value }, text);
}
