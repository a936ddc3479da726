// One panel on the page: its frame with title and tools, and the `<live-panel>` in it.

import { element } from "./page.js";

const ARROWS = { ArrowLeft: ["x", -1], ArrowRight: ["x", 1], ArrowUp: ["y", -1], ArrowDown: ["y", 1] };
const SIZES = { x: "w", y: "h" };

export class Card {
  /** `actions`: `edit(id)`, `remove(id)` and `nudge(id, key, step)` with key x, y, w or h. */
  constructor(panel, actions) {
    this.title = element("h2", { class: "panel-title" });
    this.state = element("span", { class: "panel-state", role: "status" });
    this.body = element("div", { class: "panel-body" });
    this.grip = element("button", { type: "button", class: "tool grip" }, icon("M7 4h.01M13 4h.01M7 10h.01M13 10h.01M7 16h.01M13 16h.01"));
    this.change = element("button", { type: "button", class: "tool" }, icon("M4 16h3l9-9-3-3-9 9z"));
    this.remove = element("button", { type: "button", class: "tool" }, icon("M5 5l10 10M15 5L5 15"));
    this.tools = element("div", { class: "panel-tools" }, this.grip, this.change, this.remove);
    const head = element("header", { class: "panel-head" }, this.title, this.state, this.tools);
    this.element = element("article", { class: "grid-stack-item-content panel" }, head, this.body);
    this.change.addEventListener("click", () => actions.edit(this.panel.id));
    this.remove.addEventListener("click", () => actions.remove(this.panel.id));
    this.grip.addEventListener("keydown", (event) => {
      const arrow = ARROWS[event.key];
      if (!arrow) return;
      event.preventDefault();
      const [axis, step] = arrow;
      actions.nudge(this.panel.id, event.shiftKey ? SIZES[axis] : axis, step);
    });
    // The header of the page says what is wrong with the connection.
    this.body.addEventListener("live-state", ({ detail }) => this.setState(detail.connection ? "" : detail.text));
    this.shown = "";
    this.setPanel(panel);
  }

  /** Show another state of the same panel; its element is kept where what it shows is the same. */
  setPanel(panel) {
    this.panel = panel;
    const name = panel.title || panel.channel;
    this.title.textContent = name;
    this.element.setAttribute("aria-label", name);
    this.grip.setAttribute("aria-label", `Move ${name}: arrow keys move, with Shift they resize`);
    this.change.setAttribute("aria-label", `Change ${name}`);
    this.remove.setAttribute("aria-label", `Remove ${name}`);
    const { grid, ...content } = panel;
    const shown = JSON.stringify(content);
    if (shown === this.shown) return;
    this.shown = shown;
    this.setState("");
    this.body.replaceChildren(livePanel(content));
    this.body.dataset.type = panel.type;
  }

  setState(text) {
    this.state.textContent = text;
    this.state.title = text;
  }
}

/** The element that shows a panel, or a part of one: `channel`, `type`, `title`, `fields`, `labels`, `unit`. */
export function livePanel({ channel, type, title, fields = [], labels, unit }) {
  return element("live-panel", { channel, type, title, fields: fields.join(","), labels, unit });
}

function icon(path) {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  svg.setAttribute("viewBox", "0 0 20 20");
  svg.setAttribute("aria-hidden", "true");
  const shape = document.createElementNS("http://www.w3.org/2000/svg", "path");
  shape.setAttribute("d", path);
  svg.append(shape);
  return svg;
}
