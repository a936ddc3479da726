// Brings gridstack, which lets panels be dragged and resized. It is a third of all script and only editing needs it, so
// no page has it before somebody edits.

import { element } from "./page.js";

const PATIENCE = 20_000; // ms until it counts as not to be had

let attempts = 0;
let styled = false;

/**
 * Returns the class `GridStack`; its styles apply by then. `script` and `styles` are the addresses of both. Rejects when
 * one of them cannot be had; it can be tried again.
 */
export async function loadGridstack({ script, styles }) {
  let timer;
  const tooLong = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`gridstack did not come within ${PATIENCE / 1000} seconds`)), PATIENCE);
  });
  try {
    const [{ GridStack }] = await Promise.race([Promise.all([importModule(script), addStyles(styles)]), tooLong]);
    return GridStack;
  } finally {
    clearTimeout(timer);
  }
}

// Many browsers remember for as long as the page lives that a module did not come. With another fragment it is one that
// they have not tried; the server and the cache see no difference.
async function importModule(address) {
  attempts += 1;
  try {
    return await import(`${address}#${attempts}`);
  } catch (cause) {
    throw new Error(`${address} could not be loaded`, { cause });
  }
}

async function addStyles(href) {
  if (styled) return;
  const link = element("link", { rel: "stylesheet", href });
  try {
    await new Promise((resolve, reject) => {
      link.addEventListener("load", resolve);
      link.addEventListener("error", () => reject(new Error(`${href} could not be loaded`)));
      document.head.append(link);
    });
    styled = true;
  } catch (error) {
    link.remove();
    throw error;
  }
}
