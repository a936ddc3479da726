// Data frames in the browser: turns the messages of a frame channel into bounded series.
//
// A channel sends a full frame (`{schema, data}`) first and whenever the schema changes, and `{data}` alone otherwise.
// Rows with a `labels` column are split by label set; the values of each are kept by time, oldest first. Nothing here
// touches the DOM or the network, so that it runs under Node.js as well.

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
 * The last rows of one frame channel, bounded in points, age and series.
 *
 * `push(message)` takes what the channel sent; `series` is the result:
 * `[{key, field, type, labels: Map, labelText, times: [ms], values: [...]}]`, `times` ascending and of the length of
 * `values`; null is a missing value. The arrays are the table's own: read them, do not change them.
 */
export class FrameTable {
  /**
   * maxPoints: rows kept for each label set. maxAge: milliseconds before the newest row of the table.
   * maxGroups: label sets kept; the one that was silent for the longest time goes first.
   */
  constructor({ maxPoints = 1000, maxAge = 5 * 60 * 1000, maxGroups = 200 } = {}) {
    this.maxPoints = maxPoints;
    this.maxAge = maxAge;
    this.maxGroups = maxGroups;
    this.name = "";
    this.fields = []; // of the schema, without the labels column: {name, type, labels}
    this.newest = -Infinity; // time of the newest row, ms
    this.groups = new Map(); // label text -> {labels, times, columns: Map(field key -> values)}
    this.layout = null; // how a row of the wire is read, from the schema
    this.list = null; // cached `series`
  }

  /**
   * Add one message. Returns true when the set of series changed, false when only values were added.
   * Throws FrameError when the columns do not fit.
   */
  push(message) {
    if (!isFrame(message)) throw new FrameError("not a data frame");
    let changed = false;
    if (message.schema) changed = this.#setSchema(message.schema);
    const values = message.data?.values;
    if (!values || values.length === 0) return changed;
    if (!this.layout) {
      this.#setSchema(guessSchema(values));
      changed = true;
    }
    if (values.length !== this.layout.width) {
      const expected = this.layout.width;
      throw new FrameError(`the frame has ${values.length} columns where the schema has ${expected}`);
    }
    const columns = values.map((column, index) => withEntities(column, message.data.entities?.[index]));
    const rows = columns[0].length;
    if (columns.some((column) => column.length !== rows)) throw new FrameError("the columns differ in length");
    for (let row = 0; row < rows; row += 1) changed = this.#addRow(columns, row) || changed;
    changed = this.#trim() || changed;
    if (changed) this.list = null;
    return changed;
  }

  get series() {
    if (this.list) return this.list;
    this.list = [];
    for (const [labelText, group] of this.groups) {
      for (const column of group.columns.values()) {
        const { key, field, type, values } = column;
        const labels = group.labels;
        this.list.push({ key: `${key}|${labelText}`, field, type, labels, labelText, times: group.times, values });
      }
    }
    return this.list;
  }

  #setSchema(schema) {
    const fields = schema.fields.map((field, index) => ({
      name: field.name || `Field ${index + 1}`,
      type: field.type ?? "other",
      labels: field.labels ?? {},
    }));
    this.name = schema.name ?? "";
    const signature = JSON.stringify(fields);
    if (this.layout?.signature === signature) return false;
    const labelColumn =
      fields.length > 1 && fields[0].type === "string" && /^labels$/i.test(fields[0].name) && fields[1].type === "time"
        ? 0
        : -1;
    const timeColumn = fields.findIndex((field) => field.type === "time");
    const valueColumns = [];
    fields.forEach((field, index) => {
      if (index === labelColumn || index === timeColumn) return;
      const labels = new Map(Object.entries(field.labels));
      const labelText = [...labels].map(([name, value]) => `${name}=${value}`).join(", ");
      valueColumns.push({ index, key: `${field.name}:${field.type}`, field: field.name, type: field.type, labels, labelText });
    });
    this.layout = { signature, width: fields.length, labelColumn, timeColumn, valueColumns };
    this.fields = fields.filter((_, index) => index !== labelColumn);
    // Values live on under the same name and type; what the new schema does not know is dropped.
    const known = new Set(valueColumns.map(({ key }) => key));
    for (const [labelText, group] of this.groups) {
      for (const key of group.columns.keys()) {
        if (!known.has(key)) group.columns.delete(key);
      }
      if (group.columns.size === 0) this.groups.delete(labelText);
    }
    this.list = null;
    return true;
  }

  #addRow(columns, row) {
    const { labelColumn, timeColumn, valueColumns } = this.layout;
    const time = timeColumn < 0 ? Date.now() : columns[timeColumn][row];
    if (typeof time !== "number" || !Number.isFinite(time)) return false;
    let changed = false;
    const places = new Map(); // group -> index of this row in it; a wide row may touch several groups
    const rowLabels = labelColumn < 0 ? null : String(columns[labelColumn][row] ?? "");
    for (const column of valueColumns) {
      const labelText = rowLabels ?? column.labelText;
      let group = this.groups.get(labelText);
      if (!group) {
        group = { labels: rowLabels === null ? column.labels : parseLabels(rowLabels), times: [], columns: new Map() };
        this.groups.set(labelText, group);
        changed = true;
      }
      if (!places.has(group)) places.set(group, placeRow(group, time));
      let target = group.columns.get(column.key);
      if (!target) {
        const values = new Array(group.times.length).fill(null);
        target = { key: column.key, field: column.field, type: column.type, values };
        group.columns.set(column.key, target);
        changed = true;
      }
      target.values[places.get(group)] = columns[column.index][row] ?? null;
    }
    this.newest = Math.max(this.newest, time);
    return changed;
  }

  #trim() {
    const oldest = this.newest - this.maxAge;
    let changed = false;
    for (const [labelText, group] of this.groups) {
      let drop = Math.max(0, group.times.length - this.maxPoints);
      while (drop < group.times.length && group.times[drop] < oldest) drop += 1;
      if (drop === 0) continue;
      group.times.splice(0, drop);
      for (const column of group.columns.values()) column.values.splice(0, drop);
      if (group.times.length === 0) {
        this.groups.delete(labelText);
        changed = true;
      }
    }
    while (this.groups.size > this.maxGroups) {
      let silent = null;
      for (const [labelText, group] of this.groups) {
        if (silent === null || group.times.at(-1) < this.groups.get(silent).times.at(-1)) silent = labelText;
      }
      this.groups.delete(silent);
      changed = true;
    }
    return changed;
  }
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

// Find or make the row of this time; rows nearly always come in order, so look from the end. A second row of the same
// time replaces the first: after a reconnect the last frame comes again.
function placeRow(group, time) {
  let index = group.times.length;
  while (index > 0 && group.times[index - 1] > time) index -= 1;
  if (index > 0 && group.times[index - 1] === time) return index - 1;
  group.times.splice(index, 0, time);
  for (const column of group.columns.values()) column.values.splice(index, 0, null);
  return index;
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
