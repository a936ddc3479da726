// format.js: what people read, and which values are meant.

import assert from "node:assert/strict";
import { test } from "node:test";

import {
  chosenSeries,
  currentSeries,
  currentValue,
  formatMark,
  formatParts,
  formatTime,
  formatValue,
  shownSeries,
} from "../../live/static/live/format.js";
import { FrameTable } from "../../live/static/live/frames.js";

const table = (...messages) => {
  const made = new FrameTable();
  for (const message of messages) made.push(message);
  return made;
};
const frame = (fields, ...rows) => ({
  schema: { fields: [{ name: "time", type: "time" }, ...fields] },
  data: { values: [rows.map(([time]) => time), ...fields.map((_, index) => rows.map((row) => row[index + 1]))] },
});
const number = (name, labels) => ({ name, type: "number", labels });

test("values have about three digits, their unit, or the decimals that are asked for", () => {
  assert.deepEqual([0, 1.234, 12.34, 123.4, 0.001234].map((one) => formatValue(one)), ["0.00", "1.23", "12.3", "123", "0.0012"]);
  assert.equal(formatValue(99.94, "percent"), "99.9 %");
  assert.deepEqual([12, 1500, -2.5e9].map((one) => formatValue(one, "bytes")), ["12 B", "1.50 kB", "-2.50 GB"]);
  assert.equal(formatValue(1500, "bytes/s"), "1.50 kB/s");
  assert.equal(formatValue(21.25, "°C"), "21.3 °C");
  assert.equal(formatValue(1234567), "1.23 M");
  assert.equal(formatValue(1234567, "km"), "1234567 km");
  assert.deepEqual([0, 2, 99].map((digits) => formatValue(1.5, "", digits)), ["2", "1.50", `1.5${"0".repeat(19)}`]);
  assert.deepEqual([null, undefined, NaN, Infinity, -Infinity].map((one) => formatValue(one)), ["–", "–", "NaN", "∞", "−∞"]);
  assert.deepEqual([true, false, "up", { a: 1 }].map((one) => formatValue(one)), ["yes", "no", "up", '{"a":1}']);
  assert.deepEqual([formatMark(2500, "bytes"), formatMark(0.1 + 0.2)], ["2.5 kB", "0.3"]);
});

test("a unit is told apart from what is before it", () => {
  assert.deepEqual(formatParts(1500, "bytes"), ["1.50", "kB"]);
  assert.deepEqual(formatParts(7, "km per h"), ["7.00", "km per h"]);
  assert.deepEqual(formatParts("five o'clock", "h"), ["five o'clock", ""]);
  assert.deepEqual(formatParts(1234567), ["1.23", "M"]);
});

test("of many series those that go on come before those that ended, and of these the latest", () => {
  const all = Array.from({ length: 15 }, (_, index) => ({ key: index, newest: index < 5 ? index * 1000 : 60_000 - index }));
  assert.deepEqual(shownSeries(all, 60_000).map(({ key }) => key), [3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14]);
  assert.equal(shownSeries(all.slice(0, 12), 60_000).length, 12);
  // Those that take turns do not take each other's place.
  const turns = Array.from({ length: 15 }, (_, key) => ({ key, newest: key % 2 ? 60_000 : 59_000 }));
  assert.deepEqual(shownSeries(turns, 60_000).map(({ key }) => key), [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11]);
});

test("times are those of a day with 24 hours", () => {
  const midnight = new Date(2026, 0, 1, 0, 0, 5).getTime();
  assert.equal(formatTime(midnight), "00:00:05");
  assert.equal(formatTime(midnight, true), "00:00");
});

test("series are chosen by field, in the order asked for, and by labels", () => {
  const made = table(frame([number("a", { host: "x" }), number("b", { host: "x" }), number("a", { host: "y" })], [1, 1, 2, 3]));
  const chosen = (...args) => chosenSeries(made, ...args).map(({ field, labelText }) => `${field} ${labelText}`);
  assert.deepEqual(chosen(["b", "a"], "host=x", true), ["b host=x", "a host=x"]);
  assert.equal(chosen([], "", true).length, 3);
  assert.deepEqual(chosen(["c"], "", true), []);
});

test("a chart has numbers only, a value may be a text", () => {
  const made = table(frame([{ name: "word", type: "string" }, number("a")], [1, "on", 1], [2, "off", null]));
  assert.deepEqual(chosenSeries(made, [], "", true).map(({ field }) => field), ["a"]);
  assert.equal(currentValue({ table: made, last: {} }, [], ""), "off");
  assert.equal(currentValue({ table: made, last: {} }, ["a"], ""), 1);
  assert.equal(currentValue({ table: made, last: { b: 1 } }, ["b"], ""), undefined);
});

test("of a field that changed its type, the value of the type that came last", () => {
  const made = table(frame([number("a")], [1, 5]), frame([{ name: "a", type: "string" }], [2, "five"]));
  assert.equal(currentValue({ table: made, last: {} }, ["a"], ""), "five");
  assert.equal(currentSeries(made, ["a"], "").type, "string");
  assert.equal(currentSeries(made, ["nothing"], ""), undefined);
});

test("of other JSON, what is at the path, and nothing that is not the message's own", () => {
  const last = { orders: { open: 7 } };
  const value = (...fields) => currentValue({ table: new FrameTable(), last }, fields, "");
  assert.equal(value("orders.open"), 7);
  assert.deepEqual(value("orders"), { open: 7 });
  assert.equal(value("orders.closed.today"), undefined);
  assert.equal(value("constructor.name"), undefined);
  assert.deepEqual(value(), last);
  assert.equal(currentValue({ table: new FrameTable(), last: undefined }, ["a"], ""), undefined);
});
