// The dialog in which a panel is made or changed. Everything it offers can be typed as well.

import { frames } from "../../live/live.js";
import { CHANNEL, listChannels } from "./api.js";
import { element } from "./page.js";

const dialog = document.getElementById("panel-dialog");
const form = dialog.querySelector("form");
const inputs = form.elements;
const chips = document.getElementById("field-chips");
const error = form.querySelector(".form-error");
let channels = [];
let labelled = null; // where the labels that are offered come from

/**
 * Let a person change a panel. Returns the new panel (same id), or null when it was cancelled. `limits` has
 * `columns`, `rows` and `height` of the grid.
 */
export async function editPanel(panel, { title, limits }) {
  dialog.querySelector("#panel-dialog-title").textContent = title;
  fill(panel);
  dialog.showModal();
  inputs.title.focus();
  listChannels().then((found) => {
    channels = found ?? [];
    document
      .getElementById("channel-list")
      .replaceChildren(...channels.map(({ channel }) => element("option", { value: channel })));
    showFields(chosenFields());
  });
  return new Promise((resolve) => {
    let result = null;
    const submit = (event) => {
      event.preventDefault();
      const draft = read(panel.id);
      const fault = check(draft, limits);
      if (fault) {
        const [name, text] = fault;
        error.textContent = text;
        error.hidden = false;
        inputs[name].focus();
        return;
      }
      result = draft;
      dialog.close();
    };
    form.addEventListener("submit", submit);
    dialog.addEventListener(
      "close",
      () => {
        form.removeEventListener("submit", submit);
        followLabels("");
        resolve(result);
      },
      { once: true },
    );
  });
}

function fill(panel) {
  error.hidden = true;
  inputs.title.value = panel.title;
  inputs.type.value = panel.type;
  inputs.unit.value = panel.unit ?? "";
  inputs.channel.value = panel.channel;
  inputs.labels.value = panel.labels ?? "";
  inputs.more.value = "";
  for (const key of ["x", "y", "w", "h"]) inputs[key].value = panel.grid[key];
  showFields(panel.fields);
}

function read(id) {
  const grid = Object.fromEntries(["x", "y", "w", "h"].map((key) => [key, Number(inputs[key].value || NaN)]));
  return {
    id,
    type: inputs.type.value,
    title: inputs.title.value.trim(),
    channel: inputs.channel.value.trim(),
    fields: chosenFields(),
    labels: inputs.labels.value.trim(),
    unit: inputs.unit.value,
    grid,
  };
}

// Returns [input name, text] of the first fault. The server checks everything again.
function check({ channel, grid }, { columns, rows, height }) {
  if (!CHANNEL.test(channel)) return ["channel", "A channel is scope/namespace/path, such as stream/host/cpu."];
  const bounds = { x: [0, columns - 1], y: [0, rows], w: [1, columns], h: [1, height] };
  const names = { x: "Column", y: "Row", w: "Width", h: "Height" };
  for (const [key, [low, high]] of Object.entries(bounds)) {
    const value = grid[key];
    if (!Number.isInteger(value) || value < low || value > high) {
      return [key, `${names[key]} must be a whole number from ${low} to ${high}.`];
    }
  }
  if (grid.x + grid.w > columns) return ["w", `Column and width together must be at most ${columns}.`];
  return null;
}

function chosenFields() {
  const ticked = [...chips.querySelectorAll("input:checked")].map(({ value }) => value);
  const typed = inputs.more.value.split(",").map((name) => name.trim());
  return [...new Set([...ticked, ...typed])].filter(Boolean);
}

// Offer the labels that a channel has, also those that come while the dialog is open; "" is no channel.
function followLabels(channel) {
  labelled?.close();
  offerLabels([]);
  labelled = channel === "" ? null : frames(channel, { onUpdate: offerNew });
  if (labelled !== null) offerNew(labelled);
}

function offerNew({ table }) {
  offerLabels(table.series.flatMap(({ labels }) => [...labels].map(([name, value]) => `${name}=${value}`)));
}

function offerLabels(labels) {
  const list = document.getElementById("label-list");
  const wanted = [...new Set(labels)].sort();
  if (wanted.join("\n") === [...list.children].map(({ value }) => value).join("\n")) return;
  list.replaceChildren(...wanted.map((value) => element("option", { value })));
}

// One tick box for each field that the channel has or the panel names; the labels known of it as suggestions.
function showFields(chosen) {
  const name = inputs.channel.value.trim();
  const schema = channels.find(({ channel }) => channel === name)?.data?.schema;
  followLabels(schema ? name : "");
  const known = (schema?.fields ?? [])
    .filter(({ name, type }) => type !== "time" && !/^labels$/i.test(name ?? ""))
    .map(({ name }) => name);
  const fields = [...new Set([...known, ...chosen])];
  inputs.more.value = "";
  chips.replaceChildren(
    ...fields.map((field) => {
      const box = element("input", { type: "checkbox", value: field });
      box.checked = chosen.includes(field);
      return element("label", { class: "chip" }, box, field);
    }),
  );
}

inputs.channel.addEventListener("change", () => showFields(chosenFields()));
