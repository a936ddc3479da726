// The grid of panels: gridstack on a wide screen, one column on a narrow one.
//
// The page's own list of panels is the truth; gridstack shows it and reports what a person dragged or resized. In one
// column nothing can be dragged, and nothing that is shown there changes the layout.

import { GridStack } from "../vendor/gridstack.js";

const ROW = 72; // px of one row
const NARROW = "(max-width: 760px)";

export class Grid {
  /** `onMove(places)` gets a Map of panel id to {x, y, w, h} after a person has moved or resized something. */
  constructor(node, { columns, onMove }) {
    this.columns = columns;
    this.onMove = onMove;
    this.items = new Map(); // panel id -> item element
    this.panels = [];
    this.quiet = 0;
    this.editable = false;
    this.narrow = matchMedia(NARROW);
    const calm = matchMedia("(prefers-reduced-motion: reduce)");
    this.stack = GridStack.init(
      {
        column: columns,
        cellHeight: ROW,
        margin: 6,
        float: false,
        animate: !calm.matches,
        staticGrid: true,
        handle: ".panel-head",
        draggable: { cancel: "button" },
        resizable: { handles: "se, sw" },
      },
      node,
    );
    this.stack.on("change", () => {
      if (this.quiet === 0 && !this.narrow.matches) this.onMove(this.places());
    });
    this.narrow.addEventListener("change", () => this.arrange());
  }

  /** Show these panels; `build(panel)` makes the content element of one that is new. */
  show(panels, build) {
    this.panels = panels;
    const wanted = new Set(panels.map(({ id }) => id));
    this.quietly(() => {
      for (const [id, item] of this.items) {
        if (wanted.has(id)) continue;
        this.stack.removeWidget(item, true, false);
        this.items.delete(id);
      }
      for (const panel of panels) {
        if (this.items.has(panel.id)) continue;
        const item = document.createElement("div");
        item.className = "grid-stack-item";
        item.dataset.panel = panel.id;
        item.append(build(panel));
        this.stack.el.append(item);
        this.items.set(panel.id, item);
        this.stack.makeWidget(item, { id: panel.id, ...this.place(panel) });
      }
    });
    this.arrange();
  }

  /** Let panels be dragged and resized, or not. */
  setEditable(editable) {
    this.editable = editable;
    this.stack.setStatic(!editable || this.narrow.matches);
  }

  /** Where the panels are now, after gravity and collisions. Only meaningful on a wide screen. */
  places() {
    return new Map(this.stack.engine.nodes.map(({ id, x, y, w, h }) => [id, { x, y, w, h }]));
  }

  /** Move one panel, as if a person had dragged it: others make room. */
  move(id, place) {
    if (this.narrow.matches) return new Map([[id, place]]);
    this.quietly(() => this.stack.update(this.items.get(id), place));
    return this.places();
  }

  // Put every panel where the list says.
  arrange() {
    this.quietly(() => {
      const columns = this.narrow.matches ? 1 : this.columns;
      if (this.stack.getColumn() !== columns) this.stack.column(columns, "none");
      const ordered = [...this.panels].sort((a, b) => a.grid.y - b.grid.y || a.grid.x - b.grid.x);
      let row = 0;
      const layout = ordered.map((panel) => {
        const place = this.place(panel, row);
        row += place.h;
        return { id: panel.id, ...place };
      });
      if (!this.#matches(layout)) this.stack.load(layout, false);
      // The reading order is the order on the screen, also for the keyboard and screen readers.
      for (const { id } of ordered) {
        const item = this.items.get(id);
        if (!item.contains(document.activeElement)) this.stack.el.append(item);
      }
    });
    this.setEditable(this.editable);
  }

  place({ grid }, row = 0) {
    return this.narrow.matches ? { x: 0, y: row, w: 1, h: grid.h } : { ...grid };
  }

  #matches(layout) {
    const places = this.places();
    return layout.every(({ id, x, y, w, h }) => {
      const now = places.get(id);
      return now && now.x === x && now.y === y && now.w === w && now.h === h;
    });
  }

  // Our own changes are not a person's.
  quietly(work) {
    this.quiet += 1;
    try {
      work();
    } finally {
      this.quiet -= 1;
    }
  }
}
