// The explorer: which channels carry data, how often, and the messages of one of them.

import { subscribe } from "../../live/live.js";
import { listChannels } from "./api.js";
import { element, goLive } from "./page.js";
import { MessageLog } from "./views.js";

const REFRESH = 2000; // ms

const byId = (id) => document.getElementById(id);
const rows = new Map(); // channel -> {row, rate, viewers}
const log = new MessageLog("Messages");
let channels = [];
let chosen = null; // {channel, subscription}
let paused = false;

async function refresh() {
  if (!document.hidden) {
    channels = await listChannels();
    show();
  }
  setTimeout(refresh, REFRESH);
}

// Rows are kept where the channel stays, so that the keyboard's place in the table is not lost every two seconds.
function show() {
  const filter = byId("filter").value.trim().toLowerCase();
  const shown = channels.filter(({ channel }) => channel.toLowerCase().includes(filter));
  const names = new Set(shown.map(({ channel }) => channel));
  for (const [channel, { row }] of rows) {
    if (names.has(channel)) continue;
    row.remove();
    rows.delete(channel);
  }
  shown.forEach(({ channel, minute_rate: rate, subscribers, data }, index) => {
    if (!rows.has(channel)) rows.set(channel, makeRow(channel));
    const cells = rows.get(channel);
    setText(cells.rate, String(rate));
    setText(cells.viewers, String(subscribers ?? 0));
    setText(cells.fields, fieldNames(data?.schema));
    const place = byId("channels").children[index];
    if (place !== cells.row) byId("channels").insertBefore(cells.row, place ?? null);
  });
  byId("channels-empty").hidden = shown.length > 0;
  byId("channel-count").textContent = channels.length > 0 ? String(channels.length) : "";
}

function makeRow(channel) {
  const fields = element("span", { class: "channel-fields" });
  const button = element("button", { type: "button", class: "channel-button" }, element("span", { class: "channel-name" }, channel), fields);
  button.addEventListener("click", () => choose(channel));
  button.setAttribute("aria-pressed", String(chosen?.channel === channel));
  const rate = element("td", { class: "number" });
  const viewers = element("td", { class: "number" });
  const row = element("tr", { "data-channel": channel }, element("th", { scope: "row" }, button), rate, viewers);
  return { row, button, rate, viewers, fields };
}

function fieldNames(schema) {
  const names = (schema?.fields ?? []).filter(({ type, name }) => type !== "time" && name !== "labels").map(({ name }) => name);
  return names.length > 4 ? `${names.slice(0, 4).join(", ")} and ${names.length - 4} more` : names.join(", ");
}

function setText(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

function choose(channel) {
  chosen?.subscription.close();
  log.clear();
  for (const [name, { button }] of rows) button.setAttribute("aria-pressed", String(name === channel));
  setText(byId("raw-title"), channel);
  byId("raw-empty").textContent = "Waiting for the next message.";
  byId("raw-empty").hidden = false;
  byId("pause").hidden = false;
  byId("raw").hidden = false;
  history.replaceState(null, "", `#${channel}`);
  const subscription = subscribe(channel, {
    history: false, // the messages as they come, with the time of their coming
    onData: (message, { past }) => {
      if (paused) return;
      byId("raw-empty").hidden = true;
      log.add(message, past);
    },
    onError: ({ message }) => {
      byId("raw-empty").textContent = `This channel cannot be watched: ${message}`;
      byId("raw-empty").hidden = false;
    },
  });
  chosen = { channel, subscription };
  // In one column the messages are below the list.
  byId("raw-title").scrollIntoView({ block: "nearest" });
}

byId("filter").addEventListener("input", show);
byId("pause").addEventListener("click", ({ target }) => {
  paused = !paused;
  target.setAttribute("aria-pressed", String(paused));
  target.textContent = paused ? "Go on" : "Pause";
});
byId("raw").append(log.element);

goLive();
if (location.hash.length > 1) choose(decodeURIComponent(location.hash.slice(1)));
refresh();
