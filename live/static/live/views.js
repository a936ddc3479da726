// The three ways in which a panel shows its channel: lines over time, a big number, the messages as they are.
//
// A view has `nodes`, which the panel puts on the page once it is `ready()`, and `draw()`. One that can be drawn again while
// the panel is paused, as when its size changes, has `pause(yes)`. A picture has a `text()` for those who do not see it.
// What it shows is the panel's `source`, which `open` makes where it is not that of a table.

import { Chart, COLOURS } from "./chart.js";
import { texts } from "./config.js";
import { fill, make, set, setText, svg } from "./dom.js";
import { chosenSeries, currentSeries, currentValue, formatParts, formatTime, formatValue, shownSeries } from "./format.js";
import { displayNames, latestValue } from "./frames.js";
import { Reader } from "./reader.js";
import { countMoments, linePaths, rowAt, valueRange } from "./scales.js";
import { messages } from "./tables.js";

const MAX_MESSAGES = 50; // of a raw panel
const MAX_TEXT = 2000; // characters of one of them
const SPARK = { width: 150, height: 45, top: 3 }; // the small line beside a number, in units of its own

class TimeSeries {
  constructor(panel) {
    this.panel = panel;
    this.chart = new Chart();
    this.picture = make("div", { class: "picture", part: "chart", role: "img" }, this.chart.element);
    this.reader = new Reader(panel.heading, () => this.read());
    this.legend = make("ul", { class: "legend", part: "legend" });
    this.nodes = [make("div", { class: "plot", part: "plot" }, this.picture, this.reader.element), this.legend];
    this.series = []; // what is shown; the table takes the rows of those that ended
    this.told = texts.empty;
    this.left = 0; // how many more there are
    this.shown = "";
    this.names = [];
    this.reading = false;
    this.held = null; // the series as they were when the panel was paused
    this.size = null;
  }

  ready() {
    return this.#now().length > 0;
  }

  pause(paused) {
    this.held = paused ? copies(this.#now()) : null;
  }

  resize() {
    const { clientWidth, clientHeight } = this.picture;
    this.size = [clientWidth, clientHeight];
    // Whoever has no pointer scrolls it with the keys.
    set(this.legend, { tabindex: this.legend.scrollHeight > this.legend.clientHeight ? "0" : null });
  }

  draw() {
    const series = this.#now();
    if (series.length === 0) return; // they ended; what was shown stays
    this.series = series;
    const shown = [this.left, ...series.map(({ key }) => key)].join("\n");
    if (shown !== this.shown) {
      this.shown = shown;
      this.#rebuild();
    }
    if (this.size === null) this.resize();
    const [width, height] = this.size;
    if (width > 0 && height > 0) this.chart.draw(series, width, height, this.panel.unit);
    this.read();
    this.panel.describe();
  }

  /** Show the values of the moment that is read, else the latest. */
  read() {
    if (this.chart.scale === null || this.#ended()) return;
    const moment = this.reader.moment(this.series, this.chart);
    const values = this.series.map((one) => (moment === null ? latestValue(one) : (one.values[rowAt(one, moment)] ?? null)));
    this.chart.point(moment, values.map((value) => (value === null ? NaN : Number(value))));
    const written = values.map((value) => formatValue(value, this.panel.unit));
    written.forEach((text, index) => setText(this.latest[index], text));
    // Whoever hears the page is told what the keys lead to, not what moves by itself.
    if (moment !== null && this.reader.focused) this.reader.say(moment, this.#sentence(texts.at, moment, written));
    if (moment === null && this.reading) this.reader.say(null, this.text());
    this.reading = moment !== null;
  }

  text() {
    if (this.#ended()) return this.told;
    const written = this.series.map((one) => formatValue(latestValue(one), this.panel.unit));
    const rows = this.series.map(({ times }) => times).filter(({ length }) => length > 0);
    const first = Math.min(...rows.map((times) => times[0]));
    const last = Math.max(...rows.map((times) => times.at(-1)));
    const since = fill(texts.points, { count: countMoments(this.series), time: formatTime(first) });
    this.told = `${this.#sentence(texts.latest, last, written)}, ${since}`;
    return this.told;
  }

  /** The text has changed for those who hear the page. */
  said(text) {
    set(this.picture, { "aria-label": text });
    if (this.chart.scale !== null && !this.reader.focused) this.reader.say(null, this.text());
  }

  #now() {
    if (this.held !== null) return this.held;
    const { source, fields, labels } = this.panel;
    const all = source === null ? [] : chosenSeries(source.table, fields, labels, true);
    const series = shownSeries(all, source?.table.newest);
    this.left = all.length - series.length;
    return series;
  }

  #ended() {
    return this.series.every(({ times }) => times.length === 0);
  }

  #sentence(text, moment, written) {
    const values = this.names.map((name, index) => `${name} ${written[index]}`).join(", ");
    return fill(text, { time: formatTime(moment), values });
  }

  #rebuild() {
    this.names = displayNames(this.series);
    this.latest = this.names.map(() => make("span", { class: "latest" }));
    const entries = this.names.map((name, index) => {
      const swatch = make("span", { class: `swatch s${(index % COLOURS) + 1}`, "aria-hidden": "true" });
      return make("li", {}, swatch, make("span", { class: "name", title: name }, name), this.latest[index]);
    });
    if (this.left > 0) entries.push(make("li", { class: "more" }, fill(texts.more, { count: this.left })));
    this.legend.replaceChildren(...entries);
    this.size = null;
  }
}

// Series as they are now; those of one label set go on sharing their times.
function copies(series) {
  const times = new Map(series.map((one) => [one.times, [...one.times]]));
  return series.map((one) => ({ ...one, times: times.get(one.times), values: [...one.values] }));
}

class Stat {
  constructor(panel) {
    this.panel = panel;
    this.number = make("span", { class: "number" });
    this.unit = make("span", { class: "unit" });
    this.name = make("p", { class: "name", part: "name" });
    this.area = svg("path", { class: "area" });
    this.line = svg("path", { class: "line" });
    const box = { class: "spark s1", part: "spark", "aria-hidden": "true", preserveAspectRatio: "none" };
    const spark = svg("svg", { ...box, viewBox: `0 0 ${SPARK.width} ${SPARK.height}` }, this.area, this.line);
    const value = make("p", { class: "stat", part: "value" }, this.number, " ", this.unit);
    this.nodes = [make("div", { class: "single", part: "stat" }, spark, value, this.name)];
  }

  ready() {
    return this.#value() !== undefined;
  }

  draw() {
    const { source, fields, labels, unit } = this.panel;
    const parts = formatParts(this.#value(), unit);
    setText(this.number, parts[0]);
    setText(this.unit, parts[1]);
    const series = currentSeries(source.table, fields, labels);
    setText(this.name, [series?.field ?? fields[0], labels].filter(Boolean).join(" · "));
    const { line, area } = series === undefined ? { line: "", area: "" } : spark(series);
    set(this.line, { d: line });
    set(this.area, { d: area });
  }

  #value() {
    const { source, fields, labels } = this.panel;
    return source === null ? undefined : currentValue(source, fields, labels);
  }
}

function spark(series) {
  const [from, to] = [series.times[0], series.times.at(-1)];
  const [low, high] = valueRange([series], from);
  const { width, height, top } = SPARK;
  const x = (time) => ((time - from) / (to - from || 1)) * width;
  const y = (value) => height - top - ((value - low) / (high - low || 1)) * (height - 2 * top);
  return linePaths(series, from, x, y, width, height);
}

class Raw {
  static open = messages;

  constructor(panel) {
    const name = panel.heading || panel.getAttribute("channel") || texts.chart;
    this.list = make("div", { class: "messages", part: "messages", tabindex: "0", role: "log" });
    set(this.list, { "aria-live": "off", "aria-label": name });
    this.nodes = [this.list];
    this.waiting = [];
  }

  take(source, past) {
    this.waiting.push([past ? texts.earlier : formatTime(Date.now()), source.last]);
    if (this.waiting.length > MAX_MESSAGES) this.waiting.shift();
  }

  ready() {
    return this.waiting.length > 0;
  }

  draw() {
    for (const [time, message] of this.waiting) {
      const text = JSON.stringify(message);
      const shown = text.length > MAX_TEXT ? `${text.slice(0, MAX_TEXT)} …` : text;
      this.list.prepend(make("div", { class: "entry" }, make("time", {}, time), make("code", {}, shown)));
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
