// `<live-panel>` and `<live-value>`: a channel on any page, without a line of JavaScript of the page's own.
//
// They share the tab's one WebSocket and one table a channel. They draw at most once a frame of the screen, and not at
// all while they cannot be seen; what comes meanwhile is kept. docs/embedding.md has their attributes and colours.

import { enabled, texts, url } from "./config.js";
import { currentValue, formatValue } from "./format.js";
import { connect, frames, onConnectionState, switchOff } from "./live.js";
import { hidden, sheet } from "./style.js";
import { make, setText, VIEWS } from "./views.js";

const DESCRIBE = 2000; // ms between two texts for those who do not see the chart
const LOST_FOR = 1000; // ms without a connection before it is said: a reconnect is mostly quicker

// Says once for the whole page, to those who hear it, that the connection is lost and that it is back.
class Announcer {
  constructor() {
    this.node = null;
    this.said = "";
  }

  say(text) {
    if (text === this.said) return;
    this.said = text;
    if (this.node === null) {
      const host = document.body.appendChild(make("div"));
      host.attachShadow({ mode: "open" }).adoptedStyleSheets = [hidden];
      this.node = host.shadowRoot.appendChild(make("div", { role: "status" }));
    }
    // A region that is filled as it is made is heard by nobody.
    requestAnimationFrame(() => setText(this.node, this.said));
  }
}

const announcer = new Announcer();
const troubleListeners = new Set();
let trouble = ""; // what is wrong with the connection
let watching = false;

// Connects the tab once, with the first element, and keeps `trouble`.
function watchConnection() {
  if (watching) return;
  watching = true;
  let timer = 0;
  let now = "";
  const tell = (text) => {
    trouble = text;
    if (text !== "") announcer.say(text);
    else if (announcer.said !== "") announcer.say(texts.back);
    for (const listener of [...troubleListeners]) listener();
  };
  onConnectionState(({ state }) => {
    now = state;
    clearTimeout(timer);
    if (state === "lost") timer = setTimeout(() => tell(texts.lost), LOST_FOR);
    else if (state === "offline" || state === "off") tell(texts[state]);
    else if (state === "live" && trouble !== "") tell("");
  });
  if (now !== "idle") return; // a script of the page was first
  if (enabled) connect(url || undefined);
  else switchOff();
}

// Calls `draw` once per painted frame after `request()`, and only while the element is on the screen.
class Painter {
  constructor(node, draw) {
    this.draw = draw;
    this.wanted = false;
    this.inView = false;
    this.frame = 0;
    this.observer = new IntersectionObserver((entries) => {
      this.inView = entries.at(-1).isIntersecting;
      this.go();
    });
    this.observer.observe(node);
    this.onVisibility = () => this.go();
    document.addEventListener("visibilitychange", this.onVisibility);
  }

  request() {
    this.wanted = true;
    this.go();
  }

  go() {
    if (!this.wanted || !this.inView || document.hidden || this.frame) return;
    this.frame = requestAnimationFrame(() => {
      this.frame = 0;
      this.wanted = false;
      this.draw();
    });
  }

  close() {
    this.observer.disconnect();
    document.removeEventListener("visibilitychange", this.onVisibility);
    cancelAnimationFrame(this.frame);
  }
}

// What both elements do: open the channel while they are in the page, and say what is wrong.
class LiveElement extends HTMLElement {
  constructor() {
    super();
    this.attachShadow({ mode: "open" }).adoptedStyleSheets = [sheet];
    this.source = null;
    this.onTrouble = () => this.showTrouble();
  }

  connectedCallback() {
    watchConnection();
    this.begin();
  }

  disconnectedCallback() {
    this.end();
  }

  attributeChangedCallback(name, before, after) {
    if (before === after || this.painter === undefined) return;
    this.end();
    this.begin();
  }

  begin() {
    const names = this.getAttribute(this.constructor.fieldsAttribute) ?? "";
    this.fields = names.split(",").map((name) => name.trim()).filter(Boolean);
    this.labels = this.getAttribute("labels") ?? "";
    this.unit = this.getAttribute("unit") ?? "";
    this.build();
    this.painter = new Painter(this, () => this.draw());
    const channel = this.getAttribute("channel");
    if (channel) {
      const onUpdate = (source, past) => this.take(source, past);
      this.source = frames(channel, { onUpdate, onError: () => this.showTrouble() });
    }
    troubleListeners.add(this.onTrouble);
    this.showTrouble();
    if (this.source?.last !== undefined) this.take(this.source, true);
  }

  end() {
    if (this.painter === undefined) return;
    troubleListeners.delete(this.onTrouble);
    this.source?.close();
    this.source = null;
    this.painter.close();
    this.painter = undefined;
  }

  take() {
    this.painter?.request();
  }

  // What is wrong, in words; "" when nothing is.
  problem() {
    const error = this.source === null ? null : this.source.error;
    if (!this.getAttribute("channel")) return texts.nothing;
    if (trouble !== "" || !error) return trouble;
    if (error.code === 0) return texts.broken;
    if (error.code === 403 || error.code === 103) return texts.forbidden;
    return error.code === 404 || error.code === 102 ? texts.nowhere : error.message;
  }

  showTrouble() {
    const text = this.problem();
    if (text) this.setAttribute("state", "trouble");
    else this.removeAttribute("state");
    this.sayTrouble(text);
  }
}

class LivePanel extends LiveElement {
  static observedAttributes = ["channel", "fields", "labels", "title", "type", "unit"];
  static fieldsAttribute = "fields";

  build() {
    clearTimeout(this.timer);
    this.timer = 0;
    this.heading = this.getAttribute("title") ?? "";
    const View = VIEWS.get(this.getAttribute("type")) ?? VIEWS.get("timeseries");
    const title = make("span", { class: "title", part: "title" }, this.heading);
    this.state = make("span", { class: "trouble", part: "state" });
    this.empty = make("p", { class: "empty", part: "empty" }, texts.waiting);
    this.view = new View(this);
    this.body = make("div", { class: "view" }, this.empty);
    const head = make("figcaption", {}, title, this.state);
    head.hidden = this.heading === "";
    this.head = head;
    this.shadowRoot.replaceChildren(make("figure", { part: "panel" }, head, this.body));
    this.resized?.disconnect();
    this.resized = new ResizeObserver(() => this.source?.last !== undefined && this.painter?.request());
    this.resized.observe(this.body);
  }

  end() {
    this.resized?.disconnect();
    clearTimeout(this.timer);
    super.end();
  }

  take(source, past) {
    this.view.take?.(source, past);
    super.take();
  }

  draw() {
    if (!this.source) return;
    if (this.empty.isConnected) {
      if (!this.view.ready()) return;
      this.empty.replaceWith(...this.view.nodes);
    }
    this.view.draw();
  }

  sayTrouble(text) {
    setText(this.state, text);
    this.head.hidden = this.heading === "" && text === "";
    this.describe();
  }

  // The text alternative: at most every other second, since who reads it reads it as a whole.
  describe() {
    if (this.view.text === undefined) return;
    if (this.timer) {
      this.outdated = true;
      return;
    }
    const said = [this.heading || texts.chart, this.problem(), this.view.text()].filter(Boolean).join(", ");
    this.view.picture.setAttribute("aria-label", said);
    this.outdated = false;
    this.timer = setTimeout(() => {
      this.timer = 0;
      if (this.outdated) this.describe();
    }, DESCRIBE);
  }
}

class LiveValue extends LiveElement {
  static observedAttributes = ["channel", "digits", "field", "labels", "unit"];
  static fieldsAttribute = "field";

  build() {
    const digits = this.getAttribute("digits");
    this.digits = digits === null || !Number.isInteger(Number(digits)) ? null : Number(digits);
    this.number = make("span", { class: "number", part: "value" }, make("slot")); // what the page says, until there is a value
    this.state = make("span", { class: "trouble", part: "state" });
    this.shadowRoot.replaceChildren(this.number, this.state);
  }

  draw() {
    const value = this.source ? currentValue(this.source, this.fields, this.labels) : undefined;
    if (value !== undefined) setText(this.number, formatValue(value, this.unit, this.digits));
  }

  sayTrouble(text) {
    setText(this.state, text ? ` (${text})` : "");
  }
}

for (const [name, element] of [["live-panel", LivePanel], ["live-value", LiveValue]]) {
  if (!customElements.get(name)) customElements.define(name, element); // the page may load this file twice
}
