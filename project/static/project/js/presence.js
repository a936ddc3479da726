// Who else has this dashboard open: a few initials beside the title, everybody in the list they open.

import { element } from "./page.js";

const SHOWN = 4; // initials beside each other; the others are a number
const LISTED = 50;
const COLORS = 8;

const byId = (id) => document.getElementById(id);
const box = byId("presence");
const button = byId("presence-button");
const list = byId("presence-list");

/** Show the others, as `onPresence` of live.js tells them. */
export function showOthers({ people, visitors, crowd }) {
  const total = crowd || people.length + visitors;
  box.hidden = total === 0;
  if (total === 0) close();
  // One person beside four initials is shown as well, not counted.
  const shown = people.slice(0, people.length === SHOWN + 1 ? SHOWN + 1 : SHOWN);
  const rest = crowd || people.length - shown.length + visitors;
  const onlyVisitors = !crowd && shown.length === 0;
  button.replaceChildren(
    ...shown.map((person) => avatar(person)),
    ...(rest > 0 ? [element("span", { class: "avatar more", "aria-hidden": "true" }, onlyVisitors ? guests(rest) : `+${rest}`)] : []),
    element("span", { class: "visually-hidden" }, summary(people, visitors, crowd)),
  );
  button.title = summary(people, visitors, crowd);
  list.replaceChildren(
    ...people.slice(0, LISTED).map((person) => element("li", {}, avatar(person), element("span", { class: "presence-name" }, person.name), where(person))),
    ...(people.length > LISTED ? [element("li", { class: "hint" }, `and ${people.length - LISTED} more`)] : []),
    ...(visitors > 0 ? [element("li", {}, face("?", "visitor"), element("span", { class: "presence-name" }, guests(visitors)), hint("not signed in"))] : []),
    ...(crowd > 0 ? [element("li", {}, `About ${crowd} others`)] : []),
  );
}

/** The letters that stand for a name: of its first and last word, or its first two. */
export function initials(name) {
  const words = name.split(/[\s._@-]+/u).filter(Boolean);
  const letters = words.length > 1 ? [first(words[0]), first(words.at(-1))] : [...(words[0] ?? "?")].slice(0, 2);
  return letters.join("").toLocaleUpperCase();
}

function avatar(person) {
  const node = face(initials(person.name), `c${color(person.user)}`);
  node.title = called(person);
  node.dataset.user = person.name;
  return node;
}

function face(text, kind) {
  return element("span", { class: `avatar ${kind}`, "aria-hidden": "true" }, text);
}

function where({ own, sessions }) {
  if (own) return hint(sessions > 1 ? `you, in ${sessions} other tabs` : "you, in another tab");
  return hint(sessions > 1 ? `in ${sessions} tabs` : "");
}

const hint = (text) => element("span", { class: "hint" }, text);
const called = ({ name, own }) => (own ? `${name} (you, in another tab)` : name);
const guests = (number) => `${number} visitor${number === 1 ? "" : "s"}`;

function summary(people, visitors, crowd) {
  if (crowd > 0) return `Also looking: about ${crowd} others`;
  const names = people.slice(0, LISTED).map(called);
  if (people.length > LISTED) names.push(`${people.length - LISTED} more`);
  if (visitors > 0) names.push(guests(visitors));
  return `Also looking: ${names.join(", ")}`;
}

const first = (word) => [...word][0];

// The same user has the same colour on every screen.
function color(user) {
  let sum = 0;
  for (const letter of user) sum = (sum * 31 + letter.codePointAt(0)) % 65_521;
  return (sum % COLORS) + 1;
}

function close() {
  list.hidden = true;
  button.setAttribute("aria-expanded", "false");
}

button.addEventListener("click", () => {
  list.hidden = !list.hidden;
  button.setAttribute("aria-expanded", String(!list.hidden));
});
box.addEventListener("keydown", (event) => {
  if (event.key !== "Escape" || list.hidden) return;
  close();
  button.focus();
});
box.addEventListener("focusout", ({ relatedTarget }) => {
  if (relatedTarget && !box.contains(relatedTarget)) close();
});
document.addEventListener("pointerdown", ({ target }) => {
  if (!box.contains(target)) close();
});
