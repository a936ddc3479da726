// The tab's connection for the elements: made with the first of them; what is wrong with it, said once for the whole page.

import { announce, enabled, texts, url } from "./config.js";
import { make, setText } from "./dom.js";
import { hidden } from "./style.js";
import { connect, onConnectionState, switchOff } from "./tab.js";

const LOST_FOR = 1000; // ms without a connection before it is said: a reconnect is mostly quicker

let said = ""; // to those who hear the page
let region = null; // where it is said
let problem = "";
const listeners = new Set();
let watching = false;

/** What is wrong with the connection, in words; "" when nothing is. */
export function trouble() {
  return problem;
}

/** Call back whenever `trouble()` changes; the first call connects the tab. Returns a function that ends it. */
export function watchConnection(callback) {
  if (!watching) watch();
  listeners.add(callback);
  return () => listeners.delete(callback);
}

function watch() {
  watching = true;
  let timer = 0;
  let now = "";
  onConnectionState(({ state }) => {
    now = state;
    clearTimeout(timer);
    if (state === "lost") timer = setTimeout(() => tell(texts.lost), LOST_FOR);
    else if (state === "offline" || state === "off") tell(texts[state]);
    else if (state === "live" && problem !== "") tell("");
  });
  if (now !== "idle") return; // a script of the page was first
  if (enabled) connect(url || undefined);
  else switchOff();
}

function tell(text) {
  problem = text;
  if (text !== "") say(text);
  else if (said !== "") say(texts.back);
  for (const listener of [...listeners]) listener();
}

function say(text) {
  if (!announce || text === said) return;
  said = text;
  if (region === null) {
    const host = document.body.appendChild(make("div"));
    host.attachShadow({ mode: "open" }).adoptedStyleSheets = [hidden];
    region = host.shadowRoot.appendChild(make("div", { role: "status" }));
  }
  // A region that is filled as it is made is heard by nobody.
  requestAnimationFrame(() => setText(region, said));
}
