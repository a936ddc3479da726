// Numbers and times as people read them, and which series of a table are meant. No DOM and no network.

import { latestValue, matchLabels, parseLabels } from "./frames.js";

const MAX_SERIES = 12; // of a chart
const ALIVE = 10_000; // ms since the last value of a series that is still counted as one that goes on
const BYTES = { bytes: "B", "bytes/s": "B/s" };
const PREFIXES = ["", "k", "M", "G", "T", "P"];
const MAX_DIGITS = 20;

/**
 * A value as a text of about three digits, so that its width stays the same while it moves. `unit` is "", `percent`,
 * `bytes`, `bytes/s`, or any text that is put behind; `digits` (0 to 20) fixes the decimals. Missing values are an en dash.
 */
export function formatValue(value, unit = "", digits = null) {
  return join(formatParts(value, unit, digits));
}

/** The same in two parts, what is before the unit and the unit: `["1.50", "kB"]`. */
export function formatParts(value, unit = "", digits = null) {
  if (value === null || value === undefined) return ["–", ""];
  if (typeof value === "boolean") return [value ? "yes" : "no", ""];
  if (typeof value === "object") return [JSON.stringify(value), ""];
  if (typeof value !== "number") return [String(value), ""];
  if (Number.isNaN(value)) return ["NaN", ""];
  if (!Number.isFinite(value)) return [value > 0 ? "∞" : "−∞", ""];
  if (digits !== null) return withUnit(value, unit, (number) => number.toFixed(Math.min(MAX_DIGITS, Math.max(0, digits))));
  return withUnit(value, unit, (number) => threeDigits(number, unit !== "percent"));
}

/** A mark of an axis: round numbers, so no more digits than they need. */
export function formatMark(value, unit = "") {
  return join(withUnit(value, unit, (number) => String(Number(number.toPrecision(4)))));
}

const CLOCK = { hourCycle: "h23", hour: "2-digit", minute: "2-digit" };
const LONG = new Intl.DateTimeFormat(undefined, { ...CLOCK, second: "2-digit" }); // dear to make, cheap to use
const SHORT = new Intl.DateTimeFormat(undefined, CLOCK);

/** The time of day of a moment in milliseconds since 1970, with seconds unless `short`. */
export function formatTime(time, short = false) {
  return (short ? SHORT : LONG).format(time);
}

/**
 * The series of a table that are asked for: of these fields (all when the list is empty), in its order, with all labels
 * of a text as `cpu=cpu-total`. With `charted` only those that a line can be drawn of.
 */
export function chosenSeries(table, fields, labels, charted) {
  const wanted = parseLabels(labels);
  const order = new Map(fields.map((name, index) => [name, index]));
  const fits = (one) =>
    (fields.length === 0 || order.has(one.field)) &&
    (!charted || ((one.type === "number" || one.type === "boolean") && one.newest > -Infinity)) &&
    matchLabels(one.labels, wanted);
  return table.series.filter(fits).sort((a, b) => (order.get(a.field) ?? 0) - (order.get(b.field) ?? 0));
}

/** Of these series those that a chart shows, in their order: those that go on before those that ended, of these the latest. */
export function shownSeries(all, newest) {
  if (all.length <= MAX_SERIES) return all;
  const age = (one) => Math.max(0, newest - one.newest - ALIVE);
  const chosen = new Set([...all].sort((a, b) => age(a) - age(b)).slice(0, MAX_SERIES));
  return all.filter((one) => chosen.has(one));
}

/** The first series that is asked for; where its field changed the type, the one of the type that came last. */
export function currentSeries(table, fields, labels) {
  const [first, ...others] = chosenSeries(table, fields, labels, false);
  const same = others.filter(({ field, labelText }) => field === first.field && labelText === first.labelText);
  return same.reduce((best, one) => (one.newest > best.newest ? one : best), first);
}

/**
 * The one value that a place on a page shows: the latest of the first series that is asked for, or, where the channel
 * carries other JSON, what is at `field` in the last message (`a.b` is `b` in `a`; without a field the message itself).
 * undefined where there is none.
 */
export function currentValue(source, fields, labels) {
  const series = currentSeries(source.table, fields, labels);
  if (series !== undefined) return latestValue(series);
  if (source.table.series.length > 0) return undefined;
  let value = source.last;
  for (const name of fields[0]?.split(".") ?? []) {
    if (typeof value !== "object" || value === null || !Object.hasOwn(value, name)) return undefined;
    value = value[name];
  }
  return value;
}

function join([text, unit]) {
  return unit ? `${text} ${unit}` : text;
}

function withUnit(value, unit, write) {
  if (unit === "percent") return [write(value), "%"];
  if (!Object.hasOwn(BYTES, unit) && (unit !== "" || Math.abs(value) < 100_000)) return [write(value), unit];
  if (unit !== "" && Math.abs(value) < 1000) return [value.toFixed(0), BYTES[unit]]; // there is no half byte
  let power = 0;
  let rest = value;
  while (Math.abs(rest) >= 1000 && power < PREFIXES.length - 1) {
    rest /= 1000;
    power += 1;
  }
  return [write(rest), `${PREFIXES[power]}${BYTES[unit] ?? ""}`];
}

function threeDigits(value, precise) {
  const size = Math.abs(value);
  if (size >= 100) return value.toFixed(0);
  if (size >= 10 || !precise) return value.toFixed(1);
  if (size >= 0.01 || size === 0) return value.toFixed(2);
  return value.toPrecision(2);
}
