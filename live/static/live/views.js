// The three ways in which a panel shows its channel: lines over time, a big number, the messages as they are.
//
// A view has `nodes`, which the panel puts on the page once it is `ready()`, and `draw()`; a picture has a `text()` for those
// who do not see it. What it shows is the panel's `source`.

import { Chart, COLOURS } from "./chart.js";
import { texts } from "./config.js";
import { chosenSeries, currentValue, formatTime, formatValue } from "./format.js";
import { displayNames, latestValue } from "./frames.js";

const MAX_SERIES = 12;
const MAX_MESSAGES = 50; // of a raw panel
const MAX_TEXT = 2000; // characters of one of them

/** Make an element: `make("p", {class: "x"}, "text", child)`. */
export function make(name, attributes = {}, ...children) {
  const node = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
  node.append(...children);
  return node;
}

function fill(text, values) {
  return text.replace(/\{(\w+)\}/g, (all, name) => values[name] ?? all);
}

/** Write a text only where it differs, so that nothing is laid out or announced for nothing. */
export function setText(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

class TimeSeries {
  constructor(panel) {
    this.panel = panel;
    this.chart = new Chart();
    this.picture = make("div", { class: "picture", part: "chart", role: "img" }, this.chart.element);
    this.legend = make("ul", { part: "legend" });
    this.nodes = [this.picture, this.legend];
    this.shown = "";
    this.names = [];
    this.latest = [];
    this.at = null;
  }

  series() {
    const { source, fields, labels } = this.panel;
    return chosenSeries(source.table, fields, labels, true);
  }

  ready() {
    return this.series().length > 0;
  }

  draw() {
    const all = this.series();
    if (all.length === 0) return; // they ended; what was shown stays
    // Those that got a value last, in their order.
    const kept = new Set([...all].sort((a, b) => b.newest - a.newest).slice(0, MAX_SERIES));
    const series = all.filter((one) => kept.has(one));
    const keys = [all.length, ...series.map(({ key }) => key)].join("\n");
    if (keys !== this.shown) {
      this.shown = keys;
      this.rebuild(series, all.length - series.length);
    }
    this.latest = series.map((one) => formatValue(latestValue(one), this.panel.unit));
    this.latest.forEach((text, index) => setText(this.values[index], text));
    this.at = Math.max(...series.map(({ newest }) => newest));
    const { clientWidth: width, clientHeight: height } = this.picture;
    if (width > 0 && height > 0) this.chart.draw(series, width, height, this.panel.unit);
    this.panel.describe();
  }

  rebuild(series, hiddenOnes) {
    this.names = displayNames(series);
    this.values = this.names.map(() => make("span", { class: "latest" }));
    const entries = this.names.map((name, index) => {
      const swatch = make("span", { class: `swatch s${(index % COLOURS) + 1}`, "aria-hidden": "true" });
      return make("li", {}, swatch, name, this.values[index]);
    });
    if (hiddenOnes > 0) entries.push(make("li", { class: "more" }, fill(texts.more, { count: hiddenOnes })));
    this.legend.replaceChildren(...entries);
    // Whoever has no pointer scrolls it with the keys.
    if (this.legend.scrollHeight > this.legend.clientHeight) this.legend.setAttribute("tabindex", "0");
    else this.legend.removeAttribute("tabindex");
  }

  text() {
    if (this.at === null) return texts.empty;
    const values = this.names.map((name, index) => `${name} ${this.latest[index]}`).join(", ");
    return fill(texts.latest, { time: formatTime(this.at), values });
  }
}

class Stat {
  constructor(panel) {
    this.panel = panel;
    this.number = make("p", { class: "stat number", part: "value" });
    this.nodes = [this.number];
  }

  ready() {
    return this.value() !== undefined;
  }

  value() {
    const { source, fields, labels } = this.panel;
    return currentValue(source, fields, labels);
  }

  draw() {
    setText(this.number, formatValue(this.value(), this.panel.unit));
  }
}

class Raw {
  constructor(panel) {
    const name = panel.heading || panel.getAttribute("channel") || texts.chart;
    this.list = make("div", { class: "messages", part: "messages", tabindex: "0" });
    this.list.setAttribute("role", "log");
    this.list.setAttribute("aria-live", "off");
    this.list.setAttribute("aria-label", name);
    this.nodes = [this.list];
    this.waiting = [];
  }

  take(source, past) {
    this.waiting.push([past ? "" : formatTime(Date.now()), source.last]);
    if (this.waiting.length > MAX_MESSAGES) this.waiting.shift();
  }

  ready() {
    return this.waiting.length > 0;
  }

  draw() {
    for (const [time, message] of this.waiting) {
      const text = JSON.stringify(message);
      const shown = text.length > MAX_TEXT ? `${text.slice(0, MAX_TEXT)} …` : text;
      this.list.prepend(make("div", {}, make("time", {}, time), shown));
    }
    this.waiting = [];
    while (this.list.childElementCount > MAX_MESSAGES) this.list.lastElementChild.remove();
  }
}

/** The views by their names. */
export const VIEWS = new Map([
  ["timeseries", TimeSeries],
  ["stat", Stat],
  ["raw", Raw],
]);
