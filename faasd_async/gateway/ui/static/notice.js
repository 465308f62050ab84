// What is said about an action, and what is asked before it.

import { h } from "./dom.js";

const SHOWN_MILLISECONDS = 6000;
let timer = 0;

export function notice(text, bad = false) {
  const toast = document.getElementById("toast");
  toast.textContent = text;
  toast.className = bad ? "toast bad" : "toast";
  toast.hidden = false;
  clearTimeout(timer);
  timer = setTimeout(() => {
    toast.hidden = true;
  }, SHOWN_MILLISECONDS);
}

// Runs an action and says what came of it.
export async function doing(button, action) {
  button.disabled = true;
  try {
    const text = await action();
    if (text) notice(text);
    return true;
  } catch (reason) {
    notice(reason.message, true);
    return false;
  } finally {
    button.disabled = false;
  }
}

// Asks first, for what cannot be taken back.
export function sure(title, text, verb) {
  return new Promise((resolve) => {
    const no = h("button", { type: "button", value: "no" }, "Cancel");
    const yes = h("button", { type: "button", class: "danger main" }, verb);
    const dialog = h(
      "dialog",
      { "aria-label": title },
      h("h2", {}, title),
      h("p", {}, text),
      h("div", { class: "actions" }, no, yes),
    );
    const close = (answer) => {
      dialog.remove();
      resolve(answer);
    };
    no.addEventListener("click", () => close(false));
    yes.addEventListener("click", () => close(true));
    dialog.addEventListener("cancel", () => close(false));
    document.body.append(dialog);
    dialog.showModal();
    no.focus();
  });
}
