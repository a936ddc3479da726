// Where panels stand, from nothing but their places: no page is touched here.

/** The panels in the order in which they are read: row by row. */
export function inOrder(panels) {
  return [...panels].sort((a, b) => a.grid.y - b.grid.y || a.grid.x - b.grid.x);
}

/**
 * The same panels at the places they are shown at: each as high as those above let it, none over another. A place that
 * an editor saved is one already; what a program saved may have gaps and panels that overlap.
 */
export function settled(panels) {
  const standing = new Map();
  for (const { id, grid } of inOrder(panels)) {
    const above = [...standing.values()].filter(({ x, w }) => x < grid.x + grid.w && grid.x < x + w);
    standing.set(id, { ...grid, y: Math.max(0, ...above.map(({ y, h }) => y + h)) });
  }
  return panels.map((panel) => ({ ...panel, grid: standing.get(panel.id) }));
}
