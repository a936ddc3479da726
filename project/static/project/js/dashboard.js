// The page of one dashboard: shows it, edits it, and keeps it in step with what others save.
//
// `saved` is the dashboard as this tab last got it from the server, with its version and its panels at the places they
// are shown at; `draft` exists while editing. Everything shown comes from one of the two, and nothing is ever written
// over a version this tab has not seen.

import { watchDashboard } from "../../live/live.js";
import * as api from "./api.js";
import { Card } from "./card.js";
import { editPanel } from "./editor.js";
import { Grid } from "./grid.js";
import { settled } from "./layout.js";
import { ask, config, confirmed, goLive, notify } from "./page.js";
import { showOthers } from "./presence.js";

const byId = (id) => document.getElementById(id);
const uid = config.dashboard.uid;
const cards = new Map(); // panel id -> Card
const PATIENCE = 300; // ms that may pass before a wait is shown

let saved = fromServer(config.dashboard);
let draft = null;
let preparing = false; // what editing needs is being loaded
let deleted = false;
let saving = false;
let conflict = null; // what the open conflict dialog is about: {theirs, saving}
let leaving = false;
let endWarning = () => {}; // takes away the notice that others edit as well
let endTrouble = () => {}; // takes away the notice that editing cannot begin

const grid = new Grid(byId("grid"), { columns: config.limits.columns, onMove: takePlaces });

function fromServer(state) {
  return { ...state, panels: settled(state.panels) };
}

// --- showing -------------------------------------------------------------------------------------------------------

function render() {
  const { title, panels } = draft ?? saved;
  byId("title").textContent = title;
  document.title = `${title} · Live`;
  const who = saved.updated_by ? ` by ${saved.updated_by}` : "";
  const when = new Date(saved.updated_at).toLocaleString(undefined, { dateStyle: "medium", timeStyle: "short" });
  byId("saved-info").textContent = `Version ${saved.version}, saved ${when}${who}`;
  byId("empty").hidden = panels.length > 0;

  const wanted = new Set(panels.map(({ id }) => id));
  for (const panel of panels) cards.get(panel.id)?.setPanel(panel);
  grid.setEditable(draft !== null);
  grid.show(panels, (panel) => {
    const card = new Card(panel, { edit: changePanel, remove: removePanel, nudge });
    cards.set(panel.id, card);
    return card.element;
  });
  for (const id of cards.keys()) {
    if (!wanted.has(id)) cards.delete(id);
  }
  showMode();
}

function showMode() {
  const editing = draft !== null;
  document.body.classList.toggle("editing", editing);
  byId("view-actions").hidden = editing;
  byId("edit-actions").hidden = !editing;
  byId("title").classList.toggle("visually-hidden", editing); // the page keeps its heading
  byId("title-field").hidden = !editing;
  if (editing && byId("title-input").value !== draft.title) byId("title-input").value = draft.title;
  byId("save").disabled = saving || deleted;
  byId("save").setAttribute("aria-busy", String(saving));
  byId("save").textContent = dirty() ? "Save changes" : "Save";
  byId("discard").textContent = dirty() ? "Discard" : "Done";
  byId("add").disabled = editing && draft.panels.length >= config.limits.panels;
}

function banner(text, action, run) {
  const node = byId("banner");
  node.hidden = !text;
  node.replaceChildren(text ?? "");
  if (!action) return;
  const button = document.createElement("button");
  button.type = "button";
  button.className = "secondary small";
  button.textContent = action;
  button.addEventListener("click", run);
  node.append(button);
}

// --- editing -------------------------------------------------------------------------------------------------------

function content({ title, panels }) {
  return structuredClone({ title, panels });
}

function dirty() {
  return draft !== null && JSON.stringify(content(draft)) !== JSON.stringify(content(saved));
}

async function startEditing() {
  if (draft || preparing || !(await prepareEditing()) || deleted) return;
  draft = content(saved);
  watch.setEditing(true);
  render();
  byId("title-input").focus();
}

// Load what editing needs; false when it cannot be had: then the page goes on as it is.
async function prepareEditing() {
  preparing = true;
  endTrouble();
  let endWaiting = () => {};
  const waiting = setTimeout(() => {
    byId("edit").setAttribute("aria-busy", "true");
    endWaiting = notify("Loading what editing needs …");
  }, PATIENCE);
  try {
    await grid.prepare();
    return true;
  } catch (error) {
    endTrouble = notify(`Editing cannot begin: ${error.message}. You can go on looking, and press Edit to try again.`, "error");
    return false;
  } finally {
    preparing = false;
    clearTimeout(waiting);
    endWaiting();
    byId("edit").removeAttribute("aria-busy");
  }
}

function stopEditing() {
  endEditing();
  render();
  byId("edit")?.focus();
}

function endEditing() {
  draft = null;
  watch.setEditing(false);
  endWarning();
}

async function discard() {
  if (dirty() && !(await confirmed("Discard your changes?", "The dashboard goes back to its saved state.", "Discard"))) {
    return;
  }
  stopEditing();
}

function takePlaces(places) {
  if (!draft) return;
  for (const panel of draft.panels) {
    const place = places.get(panel.id);
    if (place) panel.grid = { x: place.x, y: place.y, w: place.w, h: place.h };
  }
  showMode();
}

function nudge(id, key, step) {
  const panel = draft.panels.find((one) => one.id === id);
  const place = { ...panel.grid, [key]: panel.grid[key] + step };
  const { columns, rows, height } = config.limits;
  const valid =
    place.x >= 0 && place.y >= 0 && place.y <= rows && place.w >= 1 && place.h >= 1 && place.h <= height;
  if (!valid || place.x + place.w > columns) return;
  takePlaces(grid.move(id, place));
  grid.arrange();
  const { x, y, w, h } = panel.grid;
  announce(`${panel.title || "Panel"}: column ${x}, row ${y}, width ${w}, height ${h}`);
}

function announce(text) {
  byId("saved-info").setAttribute("aria-live", "polite");
  byId("saved-info").textContent = text;
}

async function addPanel() {
  const bottom = Math.max(0, ...draft.panels.map((panel) => panel.grid.y + panel.grid.h));
  const fresh = {
    id: newId(),
    type: "timeseries",
    title: "",
    channel: "",
    fields: [],
    labels: "",
    unit: "",
    grid: { x: 0, y: bottom, w: 6, h: 4 },
  };
  const panel = await editPanel(fresh, { title: "Add panel", limits: config.limits });
  if (!panel || !draft) return;
  draft.panels.push(panel);
  render();
  settle(panel.id);
  cards.get(panel.id).element.scrollIntoView({ block: "nearest" });
  cards.get(panel.id).change.focus();
}

async function changePanel(id) {
  const index = draft.panels.findIndex((panel) => panel.id === id);
  const before = draft.panels[index];
  const panel = await editPanel(before, { title: "Change panel", limits: config.limits });
  const now = draft?.panels.findIndex((one) => one.id === id) ?? -1;
  if (!panel) return;
  if (now < 0) {
    notify("This panel was removed meanwhile");
    return;
  }
  const { grid: place, ...rest } = panel;
  draft.panels[now] = { ...rest, grid: draft.panels[now].grid };
  cards.get(id).setPanel(draft.panels[now]);
  takePlaces(grid.move(id, place));
  settle(id);
}

function removePanel(id) {
  draft.panels = draft.panels.filter((panel) => panel.id !== id);
  render();
  settle();
  byId("add").focus();
}

// Gravity may have moved others: what is saved is what is seen.
function settle() {
  takePlaces(grid.places());
  render();
}

function newId() {
  const bytes = crypto.getRandomValues(new Uint8Array(6));
  return `p${Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("")}`;
}

// --- saving --------------------------------------------------------------------------------------------------------

async function save() {
  if (saving || deleted || !draft) return;
  const sent = content(draft);
  saving = true;
  showMode();
  const answer = await watch.whileSaving(api.update(uid, { ...sent, version: saved.version }));
  saving = false;
  if (answer.status === 200) {
    saved = fromServer(answer.body);
    // What was changed while the answer was on its way stays a draft.
    if (draft && JSON.stringify(content(draft)) === JSON.stringify(sent)) stopEditing();
    else render();
    notify("Saved");
  } else if (answer.status === 409) {
    showMode();
    await resolveConflict(answer.body.current, true);
  } else if (answer.status === 404) {
    showDeleted(null);
  } else {
    showMode();
    notify(api.explain(answer), "error");
  }
}

async function saveCopy() {
  const { title, panels } = content(draft ?? saved);
  const answer = await api.create({ title: `${title.slice(0, 110)} (copy)`, panels });
  if (answer.status !== 201) {
    notify(api.explain(answer), "error");
    return;
  }
  leaving = true;
  location.assign(config.pages.dashboard.replace("UID", answer.body.uid));
}

async function removeDashboard() {
  const sure = await confirmed(`Delete “${saved.title}”?`, "Everybody who looks at it loses it. This cannot be undone.", "Delete");
  if (!sure) return;
  const answer = await api.remove(uid);
  if (answer.status !== 204 && answer.status !== 404) {
    notify(api.explain(answer), "error");
    return;
  }
  leaving = true;
  location.assign(config.pages.list);
}

// --- what others do ------------------------------------------------------------------------------------------------

async function othersSaved({ version, user, missed }) {
  const answer = await api.load(uid);
  if (answer.status === 404) {
    showDeleted(user);
    return;
  }
  if (answer.status !== 200) {
    notify("Somebody saved this dashboard, but it could not be loaded. Reload the page to see it.", "error");
    return;
  }
  // While it was loading this tab may have saved or learned of something newer still.
  if (answer.body.version <= saved.version) return;
  if (dirty()) {
    await resolveConflict(answer.body, false);
    return;
  }
  take(answer.body);
  notify(missed ? "This dashboard was changed while you were away" : `Updated by ${name(user, answer.body)}`);
}

function othersEdit({ user }) {
  endWarning();
  const who = user?.name ? ` (${user.name})` : "";
  const text = `Another session is editing this dashboard${who}. Whoever saves second is asked what to keep.`;
  endWarning = notify(text, "warning");
}

function take(state) {
  saved = fromServer(state);
  if (draft) draft = content(saved);
  render();
}

function name(user, state) {
  return user?.name ?? state?.updated_by ?? "somebody else";
}

// Ask what to do about a newer version while there are changes. Closing the dialog decides nothing: the old version
// stays the base, so the next save comes back here.
async function resolveConflict(theirs, wasSaving) {
  const open = conflict !== null;
  conflict = { theirs, saving: wasSaving || conflict?.saving === true };
  const who = name(null, theirs);
  byId("conflict-text").textContent = `${who} saved version ${theirs.version} while you were editing version ${saved.version}.`;
  byId("conflict-mine").textContent = conflict.saving
    ? "Save yours over it, knowingly."
    : "Go on editing. Your next save replaces theirs.";
  if (open) return; // the question is on the screen already and is about the newer state now
  const answer = await ask(byId("conflict-dialog"));
  const { theirs: current, saving: retry } = conflict;
  conflict = null;
  if (answer === "theirs") {
    endEditing();
    take(current);
    notify(`Showing version ${current.version} by ${name(null, current)}`);
  } else if (answer === "mine") {
    saved = fromServer(current);
    render();
    if (retry) await save();
  } else if (answer === "copy") {
    await saveCopy();
  }
}

function showDeleted(user) {
  if (deleted || leaving) return;
  deleted = true;
  const text = user?.name ? `${user.name} deleted this dashboard.` : "This dashboard was deleted.";
  if (config.may.add) banner(`${text} You can keep it as a new one.`, "Save as a copy", saveCopy);
  else banner(`${text} What you see is its last state.`);
  byId("edit")?.setAttribute("disabled", "");
  showMode();
}

// --- start ---------------------------------------------------------------------------------------------------------

byId("edit")?.addEventListener("click", startEditing);
byId("save").addEventListener("click", save);
byId("discard").addEventListener("click", discard);
byId("add").addEventListener("click", addPanel);
byId("delete")?.addEventListener("click", removeDashboard);
byId("title-input").addEventListener("input", (event) => {
  draft.title = event.target.value;
  showMode();
});
addEventListener("beforeunload", (event) => {
  if (dirty() && !leaving) event.preventDefault();
});

goLive();
const watch = watchDashboard(uid, {
  version: () => saved.version,
  onSaved: othersSaved,
  onDeleted: ({ user }) => showDeleted(user),
  onEditing: othersEdit,
  onPresence: showOthers,
  onError: ({ message }) => notify(`Changes by others are not shown: ${message}`, "error"),
});
render();
if (location.hash === "#edit" && byId("edit")) {
  history.replaceState(null, "", location.pathname);
  startEditing();
}
