// Elements of HTML and SVG, written to only where something differs, so that nothing is laid out or announced for nothing.

const SVG = "http://www.w3.org/2000/svg";

/** Make an element: `make("p", {class: "x"}, "text", child)`. */
export function make(name, attributes = {}, ...children) {
  const node = document.createElement(name);
  set(node, attributes);
  node.append(...children);
  return node;
}

/** Make an element of SVG. */
export function svg(name, attributes = {}, ...children) {
  const node = document.createElementNS(SVG, name);
  set(node, attributes);
  node.append(...children);
  return node;
}

/** Write attributes; one that is null is taken away. */
export function set(node, attributes) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null) node.removeAttribute(name);
    else if (node.getAttribute(name) !== String(value)) node.setAttribute(name, value);
  }
}

/** Write a text. */
export function setText(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

/** Put values into the braces of a text: `fill("and {count} more", {count: 3})`. */
export function fill(text, values) {
  return text.replace(/\{(\w+)\}/g, (all, name) => values[name] ?? all);
}
