// The three ways to show a channel: lines over time, a big number, raw messages.
//
// A view is `{element, close()}`. It draws at most once a frame of the screen, only while it can be seen, and says in
// words what it shows.

import { displayNames, joinSeries, latestValue, matchLabels, parseLabels } from "../../live/frames.js";
import uPlot from "../vendor/uplot.js";
import { formatTick, formatTime, formatValue, splitUnit } from "./format.js";
import { element, onThemeChange } from "./page.js";
import { openStream } from "./streams.js";

const MAX_SERIES = 12;
const ALIVE = 10_000; // ms since the last value of a series that is still counted as one that goes on
const LONGEST_SPAN = 5 * 60; // seconds of a chart
const SHORTEST_SPAN = 20;
const RAW_MESSAGES = 50;
const RAW_TEXT = 2000; // characters of one message

/** Make the view of a panel; `onState(text)` is told what to show when there is a problem, "" when there is none. */
export function makeView(panel, onState) {
  const View = { timeseries: TimeSeries, stat: Stat, raw: Raw }[panel.type];
  return new View(panel, onState);
}

// Calls `draw` once per painted frame after `request()`, and not while the element is off the screen.
class Painter {
  constructor(node, draw) {
    this.draw = draw;
    this.wanted = false;
    this.visible = true;
    this.frame = 0;
    this.observer = new IntersectionObserver((entries) => {
      this.visible = entries.at(-1).isIntersecting;
      if (this.visible && this.wanted) this.request();
    });
    this.observer.observe(node);
  }

  request() {
    this.wanted = true;
    if (!this.visible || this.frame) return;
    // The browser calls no animation frame in a hidden tab: drawing pauses there by itself.
    this.frame = requestAnimationFrame(() => {
      this.frame = 0;
      this.wanted = false;
      this.draw();
    });
  }

  close() {
    this.observer.disconnect();
    cancelAnimationFrame(this.frame);
    this.draw = () => {};
  }
}

// The series of a panel, in the order of its fields. A chart has those with numbers only.
function chosenSeries(panel, table, charted) {
  const wanted = parseLabels(panel.labels ?? "");
  const fits = ({ field, type, labels, newest }) =>
    (panel.fields.length === 0 || panel.fields.includes(field)) &&
    (!charted || ((type === "number" || type === "boolean") && newest > -Infinity)) &&
    matchLabels(labels, wanted);
  const order = new Map(panel.fields.map((name, index) => [name, index]));
  return table.series.filter(fits).sort((a, b) => (order.get(a.field) ?? 0) - (order.get(b.field) ?? 0));
}

// As many of them as a chart shows, in their order: those that go on before those that ended, and of these the latest.
function shownSeries(all, newest) {
  if (all.length <= MAX_SERIES) return all;
  const age = (one) => Math.max(0, newest - one.newest - ALIVE);
  const chosen = new Set([...all].sort((a, b) => age(a) - age(b)).slice(0, MAX_SERIES));
  return all.filter((one) => chosen.has(one));
}

// The first of them; where its field changed the type, the one of the type that came last.
function currentSeries([first, ...others]) {
  const same = others.filter(({ field, labelText }) => field === first.field && labelText === first.labelText);
  return same.reduce((best, one) => (one.newest > best.newest ? one : best), first);
}

function emptyState(panel) {
  return element(
    "div",
    { class: "waiting" },
    element("span", { class: "waiting-mark", "aria-hidden": "true" }),
    element("p", {}, "Waiting for data"),
    element("p", { class: "hint" }, panel.channel),
  );
}

class TimeSeries {
  constructor(panel, onState) {
    this.panel = panel;
    this.plot = null;
    this.signature = "";
    this.chart = element("div", { class: "chart", role: "img", "aria-label": `${panel.title || "Chart"}, no data yet` });
    this.legend = element("ul", { class: "legend" });
    this.empty = emptyState(panel);
    this.element = element("div", { class: "timeseries" }, this.empty, this.chart, this.legend);
    this.painter = new Painter(this.element, () => this.draw());
    this.resized = new ResizeObserver(() => this.painter.request());
    this.resized.observe(this.chart);
    this.stopTheme = onThemeChange(() => {
      this.signature = "";
      this.painter.request();
    });
    this.paused = false;
    this.source = openStream(panel.channel, { onUpdate: () => this.update(), onError: onState });
    this.painter.request();
  }

  /** Keep what is shown as it is, or go on with all that came meanwhile. */
  pause(paused) {
    this.paused = paused;
    if (!paused) this.painter.request();
  }

  update() {
    if (!this.paused) this.painter.request();
  }

  draw() {
    const all = chosenSeries(this.panel, this.source.stream.table, true);
    const series = shownSeries(all, this.source.stream.table.newest);
    this.element.classList.toggle("has-data", series.length > 0);
    if (series.length === 0) return;
    const width = this.chart.clientWidth;
    const height = this.chart.clientHeight;
    if (width === 0 || height === 0) return;
    const [times, ...columns] = joinSeries(series);
    const data = [times.map((time) => time / 1000), ...columns];
    const signature = series.map(({ key }) => key).join("\n");
    if (signature !== this.signature) {
      this.signature = signature;
      this.rebuild(series, all.length - series.length, width, height, data);
    } else {
      if (this.plot.width !== width || this.plot.height !== height) this.plot.setSize({ width, height });
      this.plot.setData(data);
    }
    this.describe(series);
  }

  rebuild(series, hidden, width, height, data) {
    this.plot?.destroy();
    this.series = null;
    const style = getComputedStyle(document.documentElement);
    const color = (name) => style.getPropertyValue(name).trim();
    const colors = series.map((_, index) => color(`--series-${(index % 8) + 1}`));
    const unit = this.panel.unit ?? "";
    const font = `11px ${style.fontFamily}`;
    const axis = {
      stroke: color("--text-quiet"),
      font,
      grid: { stroke: color("--grid-line"), width: 1 },
      ticks: { show: false },
    };
    this.plot = new uPlot(
      {
        width,
        height,
        legend: { show: false },
        cursor: { points: { size: 7 }, drag: { x: false, y: false } },
        // On the right there is room for half a time of day below the last mark.
        padding: [10, 28, 0, 0],
        scales: {
          x: { range: (_, min, max) => [max - Math.min(LONGEST_SPAN, Math.max(SHORTEST_SPAN, max - min)), max] },
          y: {
            range: (_, min, max) =>
              uPlot.rangeNum(min ?? 0, max ?? 1, {
                min: { pad: 0.1, soft: 0, mode: 1 },
                max: { pad: 0.12, soft: 0, mode: 2 },
              }),
          },
        },
        axes: [
          { ...axis, space: 56, size: 28, gap: 7, values: timeMarks },
          {
            ...axis,
            space: 34,
            size: (plot, values) => Math.max(40, ...(values ?? []).map((text) => text.length * 6.6 + 14)),
            values: (_, splits) => splits.map((value) => formatTick(value, unit)),
          },
        ],
        series: [
          {},
          ...series.map((_, index) => ({
            stroke: colors[index],
            width: 1.75,
            fill: series.length <= 3 ? `${colors[index]}1c` : undefined,
            points: { show: false, filter: lonePoints, size: 5, fill: colors[index] },
          })),
        ],
        hooks: { setCursor: [() => this.describe(this.series)] },
      },
      data,
      this.chart,
    );
    this.values = [];
    this.legend.replaceChildren(
      ...displayNames(series).map((name, index) => {
        const value = element("span", { class: "legend-value" });
        this.values.push(value);
        const swatch = element("span", { class: `swatch s${(index % 8) + 1}`, "aria-hidden": "true" });
        return element("li", {}, swatch, element("span", { class: "legend-name", title: name }, name), value);
      }),
    );
    if (hidden > 0) this.legend.append(element("li", { class: "hint" }, `and ${hidden} more`));
    this.names = displayNames(series);
  }

  // Legend and text alternative: the values under the pointer, or the latest.
  describe(series) {
    this.series = series;
    if (!this.plot || !series) return;
    const index = this.plot.cursor.idx;
    const unit = this.panel.unit ?? "";
    const texts = series.map((one, place) =>
      formatValue(index === null || index === undefined ? latestValue(one) : this.plot.data[place + 1][index], unit),
    );
    texts.forEach((text, place) => {
      if (this.values[place].textContent !== text) this.values[place].textContent = text;
    });
    if (index === null || index === undefined) {
      const latest = this.names.map((name, place) => `${name} ${texts[place]}`).join(", ");
      const [times] = this.plot.data;
      const [first, last] = [times[0], times.at(-1)].map((second) => formatTime(second * 1000));
      const text = `latest at ${last}: ${latest}, ${times.length} points in time since ${first}`;
      this.chart.setAttribute("aria-label", `${this.panel.title || "Chart"}, ${text}`);
    }
  }

  close() {
    this.painter.close();
    this.resized.disconnect();
    this.stopTheme();
    this.source.close();
    this.plot?.destroy();
  }
}

class Stat {
  constructor(panel, onState) {
    this.panel = panel;
    this.number = element("span", { class: "stat-number" }, "–");
    this.unit = element("span", { class: "stat-unit" });
    this.name = element("span", { class: "stat-name" });
    this.line = document.createElementNS("http://www.w3.org/2000/svg", "svg");
    this.line.setAttribute("class", "spark");
    this.line.setAttribute("preserveAspectRatio", "none");
    this.line.setAttribute("viewBox", "0 0 100 30");
    this.line.setAttribute("aria-hidden", "true");
    this.area = this.line.appendChild(document.createElementNS("http://www.w3.org/2000/svg", "path"));
    this.path = this.line.appendChild(document.createElementNS("http://www.w3.org/2000/svg", "path"));
    this.area.setAttribute("class", "spark-area");
    this.path.setAttribute("class", "spark-line");
    this.empty = emptyState(panel);
    const value = element("p", { class: "stat-value" }, this.number, this.unit);
    this.element = element("div", { class: "stat" }, this.empty, this.line, value, this.name);
    this.painter = new Painter(this.element, () => this.draw());
    this.source = openStream(panel.channel, { onUpdate: () => this.painter.request(), onError: onState });
    this.painter.request();
  }

  draw() {
    const series = currentSeries(chosenSeries(this.panel, this.source.stream.table, false));
    this.element.classList.toggle("has-data", series !== undefined);
    if (!series) return;
    const [number, unit] = splitUnit(formatValue(latestValue(series), this.panel.unit));
    this.number.textContent = number;
    this.unit.textContent = unit;
    this.name.textContent = [series.field, this.panel.labels].filter(Boolean).join(" · ");
    const shape = sparkline(series);
    this.path.setAttribute("d", shape);
    this.area.setAttribute("d", shape ? `${shape}L100,30L0,30Z` : "");
  }

  close() {
    this.painter.close();
    this.source.close();
  }
}

// The values between two gaps: no line shows them, so they are drawn as points.
function lonePoints({ data }, index) {
  const drawn = [];
  data[index].forEach((value, place) => {
    if (value !== undefined) drawn.push([value, place]); // undefined is no gap, see joinSeries
  });
  const gap = (place) => (drawn[place]?.[0] ?? null) === null;
  return drawn.filter((_, place) => !gap(place) && gap(place - 1) && gap(place + 1)).map(([, place]) => place);
}

// Texts of the time axis.
function timeMarks(plot, splits, axis, space, step) {
  return splits.map((second) => formatTime(second * 1000).slice(0, step >= 60 ? 5 : 8));
}

// The last minutes as a path in a box of 100 by 30.
function sparkline({ times, values }) {
  const points = times.map((time, index) => [time, values[index]]).filter(([, value]) => Number.isFinite(value));
  if (points.length < 2) return "";
  const start = points[0][0];
  const span = points.at(-1)[0] - start || 1;
  const low = Math.min(...points.map(([, value]) => value));
  const high = Math.max(...points.map(([, value]) => value));
  const height = high - low || 1;
  return points
    .map(([time, value], index) => {
      const x = (((time - start) / span) * 100).toFixed(2);
      const y = (28 - ((value - low) / height) * 24).toFixed(2);
      return `${index === 0 ? "M" : "L"}${x},${y}`;
    })
    .join("");
}

class Raw {
  constructor(panel, onState) {
    this.log = new MessageLog(panel.title || panel.channel);
    this.empty = emptyState(panel);
    this.element = element("div", { class: "raw-panel" }, this.empty, this.log.element);
    this.source = openStream(panel.channel, {
      onUpdate: (stream, past) => this.show(stream.last, past),
      onError: onState,
    });
    if (this.source.stream.last !== null) this.show(this.source.stream.last);
  }

  show(message, past = false) {
    this.element.classList.add("has-data");
    this.log.add(message, past);
  }

  close() {
    this.source.close();
    this.log.close();
  }
}

/** The newest messages of a channel, newest first; bounded in number and length. Also used by the explorer. */
export class MessageLog {
  constructor(label) {
    this.element = element("div", { class: "log", role: "log", "aria-live": "off", "aria-label": label, tabindex: "0" });
    this.waiting = [];
    this.painter = new Painter(this.element, () => this.draw());
  }

  /** Add a message that came now, or (`past`) at some time before. */
  add(message, past = false) {
    this.waiting.push([past ? "earlier" : formatTime(Date.now()), message]);
    if (this.waiting.length > RAW_MESSAGES) this.waiting.shift();
    this.painter.request();
  }

  clear() {
    this.waiting = [];
    this.element.replaceChildren();
  }

  draw() {
    for (const [time, message] of this.waiting) {
      const text = JSON.stringify(message);
      const shown = text.length > RAW_TEXT ? `${text.slice(0, RAW_TEXT)} …` : text;
      const entry = element("div", { class: "entry" }, element("time", {}, time), element("code", {}, shown));
      this.element.prepend(entry);
    }
    this.waiting = [];
    while (this.element.childElementCount > RAW_MESSAGES) this.element.lastElementChild.remove();
  }

  close() {
    this.painter.close();
  }
}
