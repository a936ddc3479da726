// The explorer: which channels there are and how often each of them sends; one of them is open beside the list.

import { CHANNEL, listChannels } from "./api.js";
import { openChannel } from "./channel.js";
import { element, goLive } from "./page.js";

const REFRESH = 2000; // ms
const GROUPS = [
  ["plugin", "Plugins"],
  ["ds", "Data sources"],
  ["stream", "Streams"],
];
const OTHERS = "Other channels";

const byId = (id) => document.getElementById(id);
const rows = new Map(); // channel -> {row, button, rate, viewers, fields}
const headings = new Map(); // title -> row
let channels = null; // null until they were read
let chosen = "";
let reached = false; // whether the channel that the address names was brought into view in the list

async function refresh() {
  if (!document.hidden) {
    // Where the list cannot be read now, the last one stays.
    channels = (await listChannels()) ?? channels;
    show();
  }
  setTimeout(refresh, REFRESH);
}

// Rows are kept where the channel stays, so that the keyboard's place in the table is not lost every two seconds.
function show() {
  if (channels === null) return;
  const shown = matching();
  const names = new Set(shown.map(({ channel }) => channel));
  for (const [channel, { row }] of rows) {
    if (names.has(channel)) continue;
    row.remove();
    rows.delete(channel);
  }
  const wanted = [...grouped(shown)].flatMap(([title, members]) => [heading(title), ...members.map(fillRow)]);
  for (const row of headings.values()) if (!wanted.includes(row)) row.remove();
  const body = byId("channels");
  wanted.forEach((row, index) => {
    if (body.children[index] !== row) body.insertBefore(row, body.children[index] ?? null);
  });
  byId("channels-empty").hidden = shown.length > 0;
  setText(byId("channels-empty"), emptyText());
  setText(byId("channel-count"), channels.length > 0 ? String(channels.length) : "");
  if (!reached && rows.has(chosen)) {
    reached = true;
    rows.get(chosen).row.scrollIntoView({ block: "nearest" });
  }
}

function typed() {
  return byId("filter").value.trim();
}

function matching() {
  const filter = typed().toLowerCase();
  return channels.filter(({ channel }) => channel.toLowerCase().includes(filter));
}

function emptyText() {
  if (channels.length === 0) return "Nothing is sending yet. Push a few lines and they appear here.";
  if (CHANNEL.test(typed())) return "No such channel sends now. Press Enter to open it all the same.";
  return "No channel has this in its name.";
}

// Title -> channels, in the order of the groups and, in each, of the names.
function grouped(shown) {
  const groups = new Map([...GROUPS.map(([, title]) => [title, []]), [OTHERS, []]]);
  const titles = new Map(GROUPS);
  for (const one of shown) groups.get(titles.get(one.channel.split("/", 1)[0]) ?? OTHERS).push(one);
  return [...groups].filter(([, members]) => members.length > 0);
}

function heading(title) {
  if (!headings.has(title)) {
    headings.set(title, element("tr", { class: "group" }, element("th", { scope: "rowgroup", colspan: "3" }, title)));
  }
  return headings.get(title);
}

function fillRow({ channel, minute_rate: rate, subscribers, data }) {
  if (!rows.has(channel)) rows.set(channel, makeRow(channel));
  const cells = rows.get(channel);
  setText(cells.rate, String(rate));
  setText(cells.viewers, String(subscribers ?? 0));
  setText(cells.fields, fieldNames(data?.schema));
  return cells.row;
}

function makeRow(channel) {
  const fields = element("span", { class: "channel-fields" });
  const name = element("span", { class: "channel-name" }, ...breakable(channel));
  const button = element("button", { type: "button", class: "channel-button" }, name, fields);
  button.addEventListener("click", () => choose(channel));
  button.setAttribute("aria-pressed", String(chosen === channel));
  const rate = element("td", { class: "number" });
  const viewers = element("td", { class: "number" });
  const row = element("tr", { "data-channel": channel }, element("th", { scope: "row" }, button), rate, viewers);
  return { row, button, rate, viewers, fields };
}

// A long name is broken after a slash.
function breakable(channel) {
  const [scope, ...rest] = channel.split("/");
  return [scope, ...rest.flatMap((part) => ["/", element("wbr"), part])];
}

function fieldNames(schema) {
  const names = (schema?.fields ?? []).filter(({ type, name }) => type !== "time" && name !== "labels").map(({ name }) => name);
  return names.length > 4 ? `${names.slice(0, 4).join(", ")} and ${names.length - 4} more` : names.join(", ");
}

function setText(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

function choose(channel) {
  chosen = channel;
  reached ||= rows.has(channel);
  for (const [name, { button }] of rows) button.setAttribute("aria-pressed", String(name === channel));
  history.replaceState(null, "", `#${channel}`);
  openChannel(channel, channels?.some((one) => one.channel === channel && one.data?.schema));
}

byId("filter").addEventListener("input", show);
byId("filter").addEventListener("keydown", (event) => {
  if (event.key !== "Enter") return;
  // A whole name needs no list: that may not have been read yet, or cannot be.
  const shown = channels === null ? [] : matching();
  if (CHANNEL.test(typed())) choose(typed());
  else if (shown.length === 1) choose(shown[0].channel);
});

goLive();
const named = location.hash.slice(1);
if (CHANNEL.test(named)) choose(named);
refresh();
