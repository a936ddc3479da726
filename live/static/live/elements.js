// `<live-panel>` and `<live-value>`: a channel on any page, without a line of JavaScript of the page's own.
//
// They share the tab's one WebSocket and one table a channel. They draw at most once a frame of the screen, and not at
// all while they cannot be seen; what comes meanwhile is kept. docs/embedding.md has their attributes and colours.

import { texts } from "./config.js";
import { trouble, watchConnection } from "./connection.js";
import { make, set, setText } from "./dom.js";
import { currentValue, formatValue } from "./format.js";
import { Painter } from "./painter.js";
import { sheet } from "./style.js";
import { frames } from "./tables.js";
import { VIEWS } from "./views.js";

const DESCRIBE = 1000; // ms between two texts for those who do not see the chart

// What both elements do: open the channel while they are in the page, and say what is wrong.
class LiveElement extends HTMLElement {
  constructor() {
    super();
    this.attachShadow({ mode: "open" }).adoptedStyleSheets = [sheet];
    this.source = null;
    this.said = ""; // what was wrong
  }

  connectedCallback() {
    if (this.painter === undefined) this.begin(); // else it was moved, and keeps what it shows
  }

  disconnectedCallback() {
    queueMicrotask(() => this.isConnected || this.end());
  }

  attributeChangedCallback(name, before, after) {
    if (before === after || this.painter === undefined) return;
    this.end();
    this.begin();
  }

  open(channel, listener) {
    return frames(channel, listener);
  }

  begin() {
    const names = this.getAttribute(this.constructor.fieldsAttribute) ?? "";
    this.fields = names.split(",").map((name) => name.trim()).filter(Boolean);
    this.labels = this.getAttribute("labels") ?? "";
    this.unit = this.getAttribute("unit") ?? "";
    this.build();
    this.painter = new Painter(this, () => this.draw());
    const channel = this.getAttribute("channel");
    this.stopWatching = watchConnection(() => this.showTrouble());
    if (channel) {
      const onUpdate = (source, past) => this.take(source, past);
      this.source = this.open(channel, { onUpdate, onError: () => this.showTrouble() });
    }
    this.showTrouble();
    if (this.source?.table && this.source.last !== undefined) this.take(this.source, true); // others show it already
  }

  end() {
    if (this.painter === undefined) return;
    this.stopWatching();
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
    const error = this.source?.error;
    if (!this.getAttribute("channel")) return texts.nothing;
    if (trouble() !== "" || !error) return trouble();
    if (error.code === 0) return texts.broken;
    if (error.code === 403 || error.code === 103) return texts.forbidden;
    return error.code === 404 || error.code === 102 ? texts.nowhere : error.message;
  }

  showTrouble() {
    const text = this.problem();
    set(this, { state: text ? "trouble" : null });
    this.sayTrouble(text);
    if (text === this.said) return;
    this.said = text;
    const detail = { text, connection: text !== "" && text === trouble(), error: this.source?.error ?? null };
    this.dispatchEvent(new CustomEvent("live-state", { detail, bubbles: true, composed: true }));
  }
}

class LivePanel extends LiveElement {
  static observedAttributes = ["channel", "fields", "labels", "paused", "title", "type", "unit"];
  static fieldsAttribute = "fields";

  attributeChangedCallback(name, before, after) {
    if (name !== "paused") super.attributeChangedCallback(name, before, after);
    else if (this.painter !== undefined && (before === null) !== (after === null)) this.pause(after !== null);
  }

  open(channel, listener) {
    return (this.View.open ?? frames)(channel, listener);
  }

  build() {
    clearTimeout(this.timer);
    this.timer = 0;
    this.heading = this.getAttribute("title") ?? "";
    this.View = VIEWS.get(this.getAttribute("type")) ?? VIEWS.get("timeseries");
    const title = make("span", { class: "title", part: "title" }, this.heading);
    this.state = make("span", { class: "trouble", part: "state" });
    const channel = make("span", { class: "channel" }, this.getAttribute("channel") ?? "");
    this.empty = make("p", { class: "empty", part: "empty" }, texts.waiting, " ", channel);
    this.view = new this.View(this);
    this.body = make("div", { class: "view" }, this.empty);
    this.head = make("figcaption", { part: "head" }, title, this.state);
    // The element's own title would come up as a tooltip over the values.
    this.shadowRoot.replaceChildren(make("figure", { part: "panel", title: "" }, this.head, this.body));
    this.resized = new ResizeObserver(() => {
      this.view.resize();
      this.painter?.request();
    });
    this.paused = false;
    if (this.hasAttribute("paused")) this.pause(true);
  }

  end() {
    this.resized?.disconnect();
    clearTimeout(this.timer);
    super.end();
  }

  pause(paused) {
    this.paused = paused;
    this.view.pause?.(paused);
    this.painter?.request();
  }

  take(source, past) {
    this.view.take?.(source, past);
    if (!this.paused) super.take();
  }

  draw() {
    if (!this.source || (this.paused && !this.view.pause)) return;
    if (this.empty.isConnected) {
      if (!this.view.ready()) return;
      this.empty.replaceWith(...this.view.nodes);
      if (this.view.resize) this.resized.observe(this.view.picture);
    }
    this.view.draw();
  }

  sayTrouble(text) {
    setText(this.state, text);
    this.head.hidden = this.heading === "" && text === "";
    this.describe();
  }

  // The text alternative: at most once a second, since who reads it reads it as a whole.
  describe() {
    if (this.view.text === undefined) return;
    if (this.timer) {
      this.outdated = true;
      return;
    }
    this.view.said([this.heading || texts.chart, this.problem(), this.view.text()].filter(Boolean).join(", "));
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
