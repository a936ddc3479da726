// The grid of panels: a CSS grid for those who look, gridstack at the same places for those who edit on a wide screen,
// one column on a narrow one.
//
// The page's own list of panels is the truth; gridstack shows it and reports what a person dragged or resized. In one
// column nothing can be dragged, and nothing that is shown there changes the layout. A panel's element stays in the page
// whatever shows it, so what is in it goes on.

import { loadGridstack } from "./dragging.js";
import { inOrder } from "./layout.js";

const ROW = 72; // px of one row
const GAP = 6; // px around each panel
const GLIDE = 300; // ms, as gridstack does
const NARROW = "(max-width: 760px)";
const ITEM = "grid-stack-item"; // gridstack's name for what it places
const DRAGGED = ".ui-draggable-dragging, .ui-resizable-resizing"; // and for what a person holds

export class Grid {
  /** `onMove(places)` gets a Map of panel id to {x, y, w, h} after a person has moved or resized something. */
  constructor(node, { columns, onMove }) {
    this.node = node;
    this.plain = node.className;
    this.columns = columns;
    this.onMove = onMove;
    this.items = new Map(); // panel id -> item element
    this.panels = [];
    this.gridstack = null; // the class, once it is loaded
    this.stack = null; // its object, while panels can be dragged
    this.quiet = 0;
    this.editable = false;
    this.calm = matchMedia("(prefers-reduced-motion: reduce)");
    this.narrow = matchMedia(NARROW);
    this.narrow.addEventListener("change", () => this.setEditable(this.editable));
    node.style.setProperty("--columns", columns);
    node.style.setProperty("--row", `${ROW}px`);
    node.style.setProperty("--gap", `${GAP}px`);
  }

  /** Load what editing needs, once; rejects when it cannot be had, and can be tried again. */
  async prepare() {
    this.gridstack ??= await loadGridstack(this.node.dataset);
  }

  /** Show these panels; `build(panel)` makes the content element of one that is new. */
  show(panels, build) {
    this.panels = panels;
    const wanted = new Set(panels.map(({ id }) => id));
    this.#change(() => {
      for (const [id, item] of this.items) {
        if (wanted.has(id)) continue;
        this.stack?.removeWidget(item, false, false);
        item.remove();
        this.items.delete(id);
      }
      for (const panel of panels) {
        if (this.items.has(panel.id)) continue;
        const item = document.createElement("div");
        item.className = ITEM;
        item.dataset.panel = panel.id;
        item.append(build(panel));
        this.node.append(item);
        this.items.set(panel.id, item);
        this.stack?.makeWidget(item, { id: panel.id, ...panel.grid });
      }
      this.#arrange();
    });
  }

  /** Let panels be dragged and resized, or not; `prepare` must have been successful before. */
  setEditable(editable) {
    this.editable = editable;
    const wanted = editable && !this.narrow.matches;
    if (wanted && !this.stack) this.#stack();
    else if (!wanted && this.stack) this.#unstack();
  }

  /** Where gridstack has the panels now, after gravity and collisions; nothing when it is not there. */
  places() {
    const nodes = this.stack?.engine.nodes ?? [];
    return new Map(nodes.map(({ id, x, y, w, h }) => [id, { x, y, w, h }]));
  }

  /** Move one panel, as if a person had dragged it: others make room. */
  move(id, place) {
    if (!this.stack) return new Map([[id, place]]);
    this.#change(() => this.stack.update(this.items.get(id), place));
    return this.places();
  }

  /** Put every panel where the list says. */
  arrange() {
    this.#change(() => this.#arrange());
  }

  #arrange() {
    const ordered = inOrder(this.panels);
    if (this.stack) this.#load(ordered);
    else this.#lay(ordered);
    this.#sort(ordered.map(({ id }) => this.items.get(id)));
  }

  #lay(panels) {
    for (const { id, grid } of panels) {
      const { style } = this.items.get(id);
      // Lines of a CSS grid are counted from one.
      const values = { x: grid.x + 1, y: grid.y + 1, w: grid.w, h: grid.h };
      for (const [name, value] of Object.entries(values)) style.setProperty(`--${name}`, value);
    }
  }

  #load(panels) {
    const places = this.places();
    const differs = ({ id, grid }) => ["x", "y", "w", "h"].some((key) => places.get(id)?.[key] !== grid[key]);
    if (panels.some(differs)) this.stack.load(panels.map(({ id, grid }) => ({ id, ...grid })), false);
  }

  // The reading order is the order on the screen, also for the keyboard and screen readers. What is moved in the page
  // loses its focus and where it was scrolled to, so nothing is moved without need, and never what has the focus.
  #sort(items) {
    const now = [...this.node.children].filter((node) => items.includes(node));
    if (now.every((item, index) => item === items[index])) return;
    const focused = items.findIndex((item) => item.contains(document.activeElement));
    items.forEach((item, index) => {
      if (index < focused) items[focused].before(item);
      else if (index !== focused) this.node.append(item);
    });
  }

  #stack() {
    this.stack = this.gridstack.init(
      {
        column: this.columns,
        cellHeight: ROW,
        margin: GAP,
        float: false,
        auto: false,
        animate: false,
        handle: ".panel-head",
        draggable: { cancel: "button" },
        resizable: { handles: "se, sw" },
      },
      this.node,
    );
    this.#change(() => {
      for (const { id, grid } of inOrder(this.panels)) this.stack.makeWidget(this.items.get(id), { id, ...grid });
      this.#arrange();
    });
    // Where they are now is where they were: only what moves after this is to glide.
    void this.node.offsetHeight;
    this.stack.setAnimation(!this.calm.matches);
    this.stack.on("change", () => {
      if (this.quiet === 0) this.onMove(this.places());
    });
  }

  // gridstack takes no end of it while something is being dragged, and leaves its classes and styles behind.
  #unstack() {
    this.#change(() => {
      if (this.node.querySelector(DRAGGED)) document.dispatchEvent(new MouseEvent("mouseup"));
      this.stack.destroy(false);
    });
    this.stack = null;
    this.node.className = this.plain;
    this.node.style.removeProperty("height");
    for (const item of this.items.values()) {
      item.className = ITEM;
      item.removeAttribute("style");
    }
    this.#arrange();
  }

  // Change something ourselves. With gridstack that is not to be told as a person's doing; without it the panels glide
  // to their places here.
  #change(work) {
    if (!this.stack) {
      this.#glide(work);
      return;
    }
    this.quiet += 1;
    try {
      work();
    } finally {
      this.quiet -= 1;
    }
  }

  #glide(work) {
    const before = [...this.items.values()].map((item) => [item, item.offsetLeft, item.offsetTop]);
    work();
    if (this.calm.matches) return;
    for (const [item, left, top] of before) {
      const [x, y] = [left - item.offsetLeft, top - item.offsetTop];
      if (item.isConnected && (x !== 0 || y !== 0)) {
        item.animate({ translate: [`${x}px ${y}px`, "none"] }, { duration: GLIDE, easing: "ease" });
      }
    }
  }
}
