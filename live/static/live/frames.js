// Data frames in the browser: turns the messages of a frame channel into bounded series.
//
// A channel sends a full frame (`{schema, data}`) first, whenever the schema changes and now and then in between, and
// `{data}` alone otherwise. `FrameTable` collects them, `joinSeries` makes chart columns of them. Nothing here touches
// the DOM or the network, so that it runs under Node.js as well.

import { isMoment, SenderClock } from "./clock.js";

/** A message that does not fit the schema before it. The next full frame repairs the table. */
export class FrameError extends Error {
  constructor(message) {
    super(message);
    this.name = "FrameError";
  }
}

/** Is this message a data frame, whole or data only? Other JSON may travel in a channel too. */
export function isFrame(message) {
  if (typeof message !== "object" || message === null) return false;
  return Array.isArray(message.schema?.fields) || Array.isArray(message.data?.values);
}

/** Is this message a frame without its schema, so that it means nothing without a full one before it? */
export function needsSchema(message) {
  return isFrame(message) && !Array.isArray(message.schema?.fields);
}

/**
 * Read a label text: `k=v, k2=v2`, also `{k="v"}` as Prometheus writes it. Returns a Map in the order of the text.
 * A comma inside a value cannot be told from a separator, so a piece without `=` belongs to the value before it.
 */
export function parseLabels(text) {
  const labels = new Map();
  let bare = String(text ?? "").trim();
  if (bare.startsWith("{") && bare.endsWith("}")) bare = bare.slice(1, -1);
  let last = null;
  for (const piece of bare.split(",")) {
    const cut = piece.indexOf("=");
    if (cut > 0) {
      last = piece.slice(0, cut).trim();
      labels.set(last, unquote(piece.slice(cut + 1).trim()));
    } else if (last !== null) {
      labels.set(last, `${labels.get(last)},${piece}`);
    }
  }
  return labels;
}

/** Does a label set hold every label of `wanted` (a Map)? */
export function matchLabels(labels, wanted) {
  for (const [name, value] of wanted) {
    if (labels.get(name) !== value) return false;
  }
  return true;
}

/**
 * Short names for series shown together: the field, and only those labels that differ between them.
 * Takes `[{field, labels}]`, returns as many texts.
 */
export function displayNames(series) {
  const values = new Map();
  for (const { labels } of series) {
    for (const name of labels.keys()) values.set(name, new Set());
  }
  for (const { labels } of series) {
    for (const [name, seen] of values) seen.add(labels.get(name));
  }
  const fields = new Set(series.map(({ field }) => field));
  return series.map(({ field, labels }) => {
    const telling = [...labels].filter(([name]) => values.get(name).size > 1).map(([, value]) => value);
    if (telling.length === 0) return field;
    return fields.size > 1 ? `${field} ${telling.join(", ")}` : telling.join(", ");
  });
}

/**
 * The last rows of one frame channel: a growing, bounded table, split into series.
 *
 * `push(message)` takes what the channel sent; `series` is the result, in the order of first appearance:
 * `[{key, field, type, labels: Map, labelText, times, nanos, values, newest}]`. `times` (ms, with the microseconds
 * behind the point), `nanos` (the exact rest below the millisecond) and `values` are equally long, oldest first; null
 * is a missing value, `newest` the time of the last one that is not. All of it is the table's own: read, do not change.
 *
 * - Rows are kept by time: late ones are put where they belong, and rows of one label set at one time are one row, in
 *   which a null does not wipe out a value. Columns without a time get the time of their arrival.
 * - A row of a `labels` column belongs to the series of its label set. Without that column (`wide` frames) the labels of
 *   a field say where its values belong. Both ways lead to the same series.
 * - A new schema adds and never drops: a new field or label set joins with nulls before it, one that is gone ends and
 *   leaves when its last value does. A field that changes its type goes on as another series beside the old one.
 * - A row that is further ahead of the time than the table reaches back is left out: a clock that goes wrong somewhere
 *   must not end what all others show. What time it is the last messages tell together with the browser.
 * - A message that does not fit throws `FrameError` and changes nothing; the next full frame repairs.
 */
export class FrameTable {
  /**
   * - `maxLength`: rows kept for each label set.
   * - `maxDelta`: milliseconds kept before the newest row of the table, and after the present moment.
   * - `action`: `append`, or `replace` to keep only what came with the last message.
   * - `maxGroups`: label sets kept; those that were silent for the longest time go first, of these the newest.
   */
  constructor({ maxLength = 1000, maxDelta = Infinity, action = "append", maxGroups = 200 } = {}) {
    if (!["append", "replace"].includes(action)) throw new RangeError(`action is append or replace, not ${action}`);
    this.maxLength = maxLength;
    this.maxDelta = maxDelta;
    this.action = action;
    this.maxGroups = maxGroups;
    this.name = ""; // of the last schema
    this.newest = -Infinity; // time of the newest row
    this.clock = new SenderClock();
    this.groups = new Map(); // label text -> {labels, times, nanos, columns: Map(name and type -> series)}
    this.layout = null; // how a row of the wire is read, from the schema
    this.list = null; // cached `series`
  }

  /**
   * Add one message. Returns true when the set of series changed, false when only values were added.
   * Throws FrameError when the columns do not fit.
   */
  push(message) {
    if (!isFrame(message)) throw new FrameError("not a data frame");
    const values = message.data?.values ?? [];
    const layout = this.#layoutFor(message.schema, values);
    if (layout === null) return false;
    // All that can fail comes first: a bad message leaves the table as it was.
    const columns = readColumns(message.data, layout);
    let changed = this.#adopt(layout);
    this.name = message.schema?.name ?? this.name;
    if (!columns) return changed;
    // Where there are too many label sets, some come and go with each message: only what is left at its end counts.
    const full = this.groups.size >= this.maxGroups ? this.#keys() : null;
    const before = this.action === "replace" ? this.#clear() : full;
    const rows = columns[0].length;
    const arrival = Date.now();
    const latest = this.clock.read(columns[layout.timeColumn] ?? [], arrival) + this.maxDelta;
    for (let row = 0; row < rows; row += 1) {
      changed = this.#addRow(columns, row, message.data.nanos, arrival, latest) || changed;
    }
    changed = this.#trim(latest) || changed;
    if (changed) this.list = null;
    return before === null ? changed : before !== this.#keys();
  }

  get series() {
    this.list ??= [...this.groups.values()].flatMap(({ columns }) => [...columns.values()]);
    return this.list;
  }

  #layoutFor(schema, values) {
    if (!Array.isArray(schema?.fields)) {
      return this.layout ?? (values.length > 0 ? readSchema(guessSchema(values), true) : null);
    }
    const layout = readSchema(schema, false);
    return layout.signature === this.layout?.signature ? this.layout : layout;
  }

  // Returns whether series went away with it: those of guessed names do.
  #adopt(layout) {
    const guessed = this.layout?.guessed && layout !== this.layout && this.groups.size > 0;
    if (guessed) this.#clear();
    this.layout = layout;
    return Boolean(guessed);
  }

  #clear() {
    const keys = this.#keys();
    this.groups.clear();
    this.newest = -Infinity;
    this.list = null;
    return keys;
  }

  #keys() {
    return this.series.map(({ key }) => key).join("\n");
  }

  #addRow(columns, row, nanos, arrival, latest) {
    const { labelColumn, timeColumn, valueColumns } = this.layout;
    const milliseconds = timeColumn < 0 ? arrival : columns[timeColumn][row];
    if (!isMoment(milliseconds) || milliseconds > latest) return false;
    const nano = nanos?.[timeColumn]?.[row] ?? 0;
    // Whole microseconds: more digits do not fit behind the milliseconds of our days.
    const time = milliseconds + Math.floor(nano / 1000) / 1000;
    const rowLabels = labelColumn < 0 ? null : String(columns[labelColumn][row] ?? "");
    const places = new Map(); // group -> index of this row in it; a wide row may touch several groups
    let changed = false;
    for (const column of valueColumns) {
      const labelText = rowLabels ?? column.labelText;
      let group = this.groups.get(labelText);
      if (!group) {
        const labels = rowLabels === null ? column.labels : parseLabels(rowLabels);
        group = { labels, times: [], nanos: [], columns: new Map() };
        this.groups.set(labelText, group);
      }
      let place = places.get(group);
      if (place === undefined) {
        // Not only when all are in: rows that come backwards would take long to put in order.
        if (group.times.length >= 2 * this.maxLength) cut(group, 0, group.times.length - this.maxLength);
        place = placeRow(group, time, nano);
        places.set(group, place);
      }
      let series = group.columns.get(column.kind);
      if (!series) {
        series = makeSeries(group, column, labelText);
        group.columns.set(column.kind, series);
        changed = true;
      }
      const value = columns[column.index][row] ?? null;
      if (value === null) continue;
      series.values[place] = value;
      series.newest = Math.max(series.newest, time);
    }
    if (places.size > 0) this.newest = Math.max(this.newest, time);
    return changed;
  }

  #trim(latest) {
    if (this.newest > latest) this.#dropAfter(latest);
    const oldest = this.newest - this.maxDelta;
    let changed = false;
    for (const [labelText, group] of this.groups) {
      let drop = Math.max(0, group.times.length - this.maxLength);
      while (drop < group.times.length && group.times[drop] < oldest) drop += 1;
      if (drop > 0) cut(group, 0, drop);
      changed = this.#dropEnded(labelText, group) || changed;
    }
    const left = this.groups.size - this.maxGroups;
    if (left <= 0) return changed;
    const silent = [...this.groups].reverse().sort(([, a], [, b]) => a.times.at(-1) - b.times.at(-1));
    for (const [labelText] of silent.slice(0, left)) this.groups.delete(labelText);
    return true;
  }

  // Rows that were taken for sound, until others told what time it is.
  #dropAfter(latest) {
    this.newest = -Infinity;
    for (const group of this.groups.values()) {
      const { times, columns } = group;
      let end = times.length;
      while (end > 0 && times[end - 1] > latest) end -= 1;
      if (end < times.length) {
        cut(group, end, times.length - end);
        for (const series of columns.values()) {
          let last = end - 1;
          while (last >= 0 && series.values[last] === null) last -= 1;
          series.newest = times[last] ?? -Infinity;
        }
      }
      this.newest = Math.max(this.newest, times.at(-1) ?? -Infinity);
    }
  }

  // Series without a value left go, except those that the schema still has.
  #dropEnded(labelText, group) {
    let changed = false;
    for (const [kind, { newest, key }] of group.columns) {
      const left = group.times.length > 0 && (newest >= group.times[0] || this.layout.current(kind, key));
      if (left) continue;
      group.columns.delete(kind);
      changed = true;
    }
    if (group.columns.size === 0) this.groups.delete(labelText);
    return changed;
  }
}

function cut({ times, nanos, columns }, start, count) {
  times.splice(start, count);
  nanos.splice(start, count);
  for (const { values } of columns.values()) values.splice(start, count);
}

/** The last value of a series that is not missing; null when there is none. */
export function latestValue({ values }) {
  for (let index = values.length - 1; index >= 0; index -= 1) {
    if (values[index] !== null) return values[index];
  }
  return null;
}

/**
 * Join series on time for a chart: `[times, values, values, ...]`. null is a gap: a missing value, NaN or an infinity,
 * to which no line can be drawn; undefined means that the series has no row at that time, which is none.
 */
export function joinSeries(series) {
  const shared = new Set(series.map(({ times }) => times));
  let times = [];
  if (shared.size === 1) {
    times = [...series[0].times];
  } else {
    const all = new Set();
    for (const own of shared) for (const time of own) all.add(time);
    times = [...all].sort((a, b) => a - b);
  }
  const place = new Map(times.map((time, index) => [time, index]));
  const columns = series.map((one) => {
    const column = new Array(times.length).fill(undefined);
    one.times.forEach((time, index) => {
      const value = Number(one.values[index]);
      column[place.get(time)] = one.values[index] === null || !Number.isFinite(value) ? null : value;
    });
    return column;
  });
  return [times, ...columns];
}

// Find or make the row of this time; rows nearly always come in order, so look from the end. A repeated row, as after a
// reconnect, is found and not doubled.
function placeRow({ times, nanos, columns }, time, nano) {
  let index = times.length;
  while (index > 0 && (times[index - 1] > time || (times[index - 1] === time && nanos[index - 1] > nano))) index -= 1;
  if (index > 0 && times[index - 1] === time && nanos[index - 1] === nano) return index - 1;
  times.splice(index, 0, time);
  nanos.splice(index, 0, nano);
  for (const { values } of columns.values()) values.splice(index, 0, null);
  return index;
}

function makeSeries({ labels, times, nanos }, { kind, field, type }, labelText) {
  const values = new Array(times.length).fill(null);
  return { key: `${kind}|${labelText}`, field, type, labels, labelText, times, nanos, values, newest: -Infinity };
}

// How a row of a schema is read.
function readSchema({ fields: described }, guessed) {
  const fields = described.map((field, index) => ({
    name: field.name || `Field ${index + 1}`,
    type: field.type ?? "other",
    labels: field.labels ?? {},
  }));
  const [first, second] = fields;
  const labelled = second?.type === "time" && first.type === "string" && /^labels$/i.test(first.name);
  const labelColumn = labelled ? 0 : -1;
  const timeColumn = fields.findIndex(({ type }) => type === "time");
  const valueColumns = [];
  const known = new Set();
  fields.forEach(({ name, type, labels }, index) => {
    if (index === labelColumn || index === timeColumn) return;
    const labelText = Object.entries(labels).map(([label, value]) => `${label}=${value}`).join(", ");
    const kind = `${name}:${type}`;
    valueColumns.push({ index, kind, field: name, type, labels: new Map(Object.entries(labels)), labelText });
    known.add(labelled ? kind : `${kind}|${labelText}`);
  });
  return {
    signature: JSON.stringify(fields),
    guessed,
    width: fields.length,
    labelColumn,
    timeColumn,
    valueColumns,
    current: (kind, key) => known.has(labelled ? kind : key),
  };
}

// The columns of a message with their entities, or null when it has none. Throws FrameError when they do not fit.
function readColumns(data, { width }) {
  const values = data?.values ?? [];
  if (values.length === 0) return null;
  if (values.length !== width) {
    throw new FrameError(`the frame has ${values.length} columns where the schema has ${width}`);
  }
  const columns = values.map((column, index) => withEntities(column, data.entities?.[index]));
  if (columns.some(({ length }) => length !== columns[0].length)) throw new FrameError("the columns differ in length");
  return columns;
}

function withEntities(column, entities) {
  if (!Array.isArray(column)) throw new FrameError("a column is not a list");
  if (!entities) return column;
  const values = [...column];
  for (const row of entities.NaN ?? []) values[row] = NaN;
  for (const row of entities.Inf ?? []) values[row] = Infinity;
  for (const row of entities.NegInf ?? []) values[row] = -Infinity;
  return values;
}

const EARLIEST_TIME = 1_600_000_000_000; // September 2020 in ms: a number above it is taken for a time

// Data before any schema: the first column that looks like milliseconds of our days is the time.
function guessSchema(values) {
  let time = false;
  const fields = values.map((column, index) => {
    const first = column?.[0];
    let type = "other";
    if (typeof first === "number") type = "number";
    else if (typeof first === "string") type = "string";
    else if (typeof first === "boolean") type = "boolean";
    if (!time && type === "number" && first > EARLIEST_TIME) {
      time = true;
      return { name: "Time", type: "time" };
    }
    return { name: `Field ${index + 1}`, type };
  });
  return { fields };
}

function unquote(text) {
  return text.length > 1 && text.startsWith('"') && text.endsWith('"') ? text.slice(1, -1) : text;
}
