// What every page has: its configuration, notices, the theme button, the connection badge and dialogs.

import { connect, onConnectionState, switchOff } from "../../live/live.js";

/** The page's configuration, written by the server; an empty object where there is none. */
export const config = JSON.parse(document.getElementById("page-config")?.textContent ?? "{}");

const NOTICE_TIME = 6000; // ms a notice stays; warnings and errors stay until they are closed

/** Make an element: `element("a", {href: "/"}, "text", child)`; `class`, `data-*` and `aria-*` are attributes too. */
export function element(name, attributes = {}, ...children) {
  const node = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (key.startsWith("on")) node.addEventListener(key.slice(2), value);
    else if (value === true) node.setAttribute(key, "");
    else if (value !== false && value !== null && value !== undefined) node.setAttribute(key, value);
  }
  node.append(...children);
  return node;
}

/**
 * Show a small notice; `kind` is `info`, `warning` or `error`. Screen readers hear it, nothing loses the focus. Returns a
 * function that takes it away.
 */
export function notify(text, kind = "info") {
  const close = element("button", { type: "button", class: "notice-close", "aria-label": "Close" }, "×");
  const notice = element("div", { class: `notice ${kind}` }, element("span", {}, text), close);
  close.addEventListener("click", () => notice.remove());
  const notices = document.getElementById("notices");
  while (notices.childElementCount > 3) notices.firstElementChild.remove();
  notices.append(notice);
  if (kind === "info") setTimeout(() => notice.remove(), NOTICE_TIME);
  return () => notice.remove();
}

/** Open a `<dialog>` and wait for its answer: the value of the button pressed, "" when it was closed otherwise. */
export function ask(dialog) {
  return new Promise((resolve) => {
    dialog.returnValue = "";
    dialog.addEventListener("close", () => resolve(dialog.returnValue), { once: true });
    dialog.showModal();
  });
}

/** Ask yes or no in the page's own dialog (`#confirm-dialog`). */
export async function confirmed(title, text, yes) {
  const dialog = document.getElementById("confirm-dialog");
  dialog.querySelector("#confirm-title").textContent = title;
  dialog.querySelector("#confirm-text").textContent = text;
  dialog.querySelector("#confirm-yes").textContent = yes;
  return (await ask(dialog)) === "yes";
}

const STATES = {
  idle: ["Not connected", ""],
  connecting: ["Connecting", "The connection is being made."],
  live: ["Live", "Changes arrive as they happen."],
  lost: ["Reconnecting", "The connection was lost. The page keeps trying and catches up by itself."],
  offline: ["Offline", "The server ended the connection. Press to try again."],
  off: ["Live is off", "Live updates are switched off on this server."],
};

/** Open the tab's connection, unless the server has Live switched off, and show its state in the header. */
export function goLive() {
  const badge = document.getElementById("connection");
  badge.addEventListener("click", () => connect());
  if (config.live.enabled) connect();
  else switchOff();
  onConnectionState(({ state, reason }) => {
    const [text, title] = STATES[state];
    badge.dataset.state = state;
    badge.querySelector(".text").textContent = text;
    badge.title = reason && state !== "live" ? `${title} (${reason})` : title;
    badge.disabled = state !== "offline";
  });
}

for (const button of document.querySelectorAll("dialog [data-close]")) {
  button.addEventListener("click", () => button.closest("dialog").close(""));
}

document.getElementById("theme-toggle").addEventListener("click", () => {
  const theme = document.documentElement.dataset.theme === "dark" ? "light" : "dark";
  document.documentElement.dataset.theme = theme;
  try {
    localStorage.setItem("theme", theme);
  } catch {
    notify("This browser keeps no settings, so the choice lasts until the next page.");
  }
});
