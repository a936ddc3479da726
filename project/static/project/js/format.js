// Numbers and times as people read them.

const UNITS = { "": "", bytes: "B", "bytes/s": "B/s" };
const PREFIXES = ["", "k", "M", "G", "T", "P"];

/** Format a value of a panel: `unit` is "", "percent", "bytes" or "bytes/s". Missing values are an en dash. */
export function formatValue(value, unit = "") {
  if (value === null || value === undefined) return "–";
  if (typeof value === "boolean") return value ? "yes" : "no";
  if (typeof value !== "number") return String(value);
  if (Number.isNaN(value)) return "NaN";
  if (!Number.isFinite(value)) return value > 0 ? "∞" : "−∞";
  return withUnit(value, unit, (number) => threeDigits(number, unit !== "percent"));
}

/** Format a mark of an axis: round numbers, so no more digits than they need. */
export function formatTick(value, unit = "") {
  return withUnit(value, unit, (number) => String(Number(number.toPrecision(4))));
}

/** Split a formatted value into number and unit, so that a big number can show its unit smaller. */
export function splitUnit(text) {
  const cut = text.lastIndexOf(" ");
  return cut < 0 ? [text, ""] : [text.slice(0, cut), text.slice(cut + 1)];
}

/** The time of day of a point, in milliseconds since 1970. */
export function formatTime(time) {
  return new Date(time).toLocaleTimeString(undefined, { hour12: false });
}

function withUnit(value, unit, write) {
  if (unit === "percent") return `${write(value)} %`;
  if (unit === "" && Math.abs(value) < 100_000) return write(value);
  if (unit !== "" && Math.abs(value) < 1000) return `${value.toFixed(0)} ${UNITS[unit]}`; // there is no half byte
  let power = 0;
  let rest = value;
  while (Math.abs(rest) >= 1000 && power < PREFIXES.length - 1) {
    rest /= 1000;
    power += 1;
  }
  const suffix = `${PREFIXES[power]}${UNITS[unit]}`;
  return suffix ? `${write(rest)} ${suffix}` : write(rest);
}

// What the eye can take in from a moving number; its width stays the same while it moves.
function threeDigits(value, precise) {
  const size = Math.abs(value);
  if (size >= 100) return value.toFixed(0);
  if (size >= 10 || !precise) return value.toFixed(1);
  if (size >= 0.01 || size === 0) return value.toFixed(2);
  return value.toPrecision(2);
}
