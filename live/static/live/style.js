// What the elements look like. Text takes the page's own font and colour; the rest are CSS custom properties with
// defaults that follow the element's `color-scheme`, so a page that is dark has dark elements.

const CSS = `
:host {
  --_1: #0b7a70; --_2: #b5620b; --_3: #4263cf; --_4: #a63a92; --_5: #66780f; --_6: #c23d3d; --_7: #2a7d9f; --_8: #80604a;
  --_warning: var(--live-warning, #9a5200);
  --_quiet: var(--live-quiet, color-mix(in srgb, currentColor 72%, transparent));
  --_line: var(--live-line, color-mix(in srgb, currentColor 14%, transparent));
}
@supports (color: light-dark(black, white)) {
  :host {
    --_1: light-dark(#0b7a70, #43c6b5); --_2: light-dark(#b5620b, #f0a04b); --_3: light-dark(#4263cf, #8aa5f7);
    --_4: light-dark(#a63a92, #d98acb); --_5: light-dark(#66780f, #b5c94c); --_6: light-dark(#c23d3d, #f07f7a);
    --_7: light-dark(#2a7d9f, #6cc0e2); --_8: light-dark(#80604a, #c3a283);
    --_warning: var(--live-warning, light-dark(#9a5200, #f0b25e));
  }
}
:host([hidden]) { display: none !important; }
.trouble { color: var(--_warning); }
.s1 { --_own: var(--live-series-1, var(--_1)); } .s2 { --_own: var(--live-series-2, var(--_2)); }
.s3 { --_own: var(--live-series-3, var(--_3)); } .s4 { --_own: var(--live-series-4, var(--_4)); }
.s5 { --_own: var(--live-series-5, var(--_5)); } .s6 { --_own: var(--live-series-6, var(--_6)); }
.s7 { --_own: var(--live-series-7, var(--_7)); } .s8 { --_own: var(--live-series-8, var(--_8)); }

:host(live-value) { font-variant-numeric: tabular-nums; }
:host(live-value) .trouble { font-size: 0.8em; }
:host(live-value[state="trouble"]) .number { text-decoration: underline dotted; }

:host(live-panel) {
  display: block; block-size: var(--live-height, 16rem); margin-block: 1rem; min-inline-size: 0; contain: layout;
}
figure {
  box-sizing: border-box; block-size: 100%; margin: 0; padding: var(--live-padding, 0.75rem);
  display: flex; flex-direction: column; gap: 0.4rem; overflow: hidden;
  color: var(--live-text, inherit); background: var(--live-background, transparent); font-family: var(--live-font, inherit);
  border: 1px solid var(--live-border, var(--_line)); border-radius: var(--live-radius, 0.5rem);
}
figcaption { display: flex; justify-content: space-between; gap: 1rem; font-size: 0.9rem; line-height: 1.3; }
.title { font-weight: 600; overflow: hidden; text-overflow: ellipsis; white-space: nowrap; }
.view { flex: 1; min-block-size: 0; position: relative; display: flex; flex-direction: column; }
.view > * { margin: 0; }
.channel, .more, .name, .unit { color: var(--_quiet); }
.view > .empty { margin: auto; font-size: 0.9rem; text-align: center; overflow-wrap: anywhere; }
.empty::before {
  content: ""; display: block; inline-size: 2.2rem; block-size: 0.2rem; margin: 0 auto 0.5rem; border-radius: 2px;
  background: var(--_line);
}
.channel { display: block; font-size: 0.95em; }
.plot { flex: 1; min-block-size: 0; position: relative; }
.picture, .reader, .picture > svg { position: absolute; inset: 0; }
.picture svg { display: block; }
.picture line { stroke: var(--_line); shape-rendering: crispEdges; }
.picture text { fill: var(--_quiet); font-size: 11px; font-variant-numeric: tabular-nums; }
text.value { text-anchor: end; }
text.time { text-anchor: middle; }
.picture text.at { fill: currentColor; }
.picture .cursor { stroke: var(--_quiet); stroke-dasharray: 3 2; }
.reader { cursor: crosshair; touch-action: pan-y; }
.reader:focus-visible { outline: 2px solid; outline-offset: -2px; border-radius: 4px; }
.line { fill: none; stroke: var(--_own); stroke-width: 1.75; stroke-linejoin: bevel; }
.line.dense { stroke-width: 1; }
.dots { stroke: var(--_own); stroke-width: 5; stroke-linecap: round; }
.area { fill: var(--_own); opacity: 0.11; }
circle { fill: var(--_own); }
.legend {
  display: flex; flex-wrap: wrap; gap: 0.1rem 1rem; max-block-size: 3.2em; overflow: auto; padding: 0;
  list-style: none; font-size: 0.8rem; line-height: 1.5;
}
li { display: flex; align-items: center; gap: 0.4em; min-inline-size: 0; }
.name { overflow: hidden; text-overflow: ellipsis; white-space: nowrap; }
.swatch { inline-size: 0.9em; block-size: 0.22em; border-radius: 1em; background: var(--_own); flex: none; }
.latest { font-variant-numeric: tabular-nums; font-weight: 600; white-space: nowrap; }
.number { font-variant-numeric: tabular-nums; }
.single {
  flex: 1; min-block-size: 0; position: relative; container-type: size; display: flex; flex-direction: column;
  justify-content: center;
}
.single p { position: relative; margin: 0; }
.stat {
  font-size: var(--live-stat-size, clamp(1.4rem, min(19cqw, 44cqh), 4.5rem)); line-height: 1.1; max-block-size: 100%;
  overflow: hidden; overflow-wrap: anywhere;
}
.stat .number { font-weight: 640; letter-spacing: -0.03em; }
.unit { font-size: 0.45em; font-weight: 560; }
.single .name { font-size: 0.8rem; flex: none; }
.spark {
  position: absolute; inset: auto 0 0 auto; inline-size: 46%; block-size: 78%;
  mask-image: linear-gradient(to right, transparent, #000 35%);
}
.spark .area { opacity: 0.09; }
.spark .line { stroke-width: 1.5; vector-effect: non-scaling-stroke; opacity: 0.6; }
.messages { flex: 1; min-block-size: 0; overflow: auto; font-size: 0.8rem; line-height: 1.3; }
.entry {
  display: grid; grid-template-columns: auto 1fr; gap: 0.75rem; padding: 0.25rem 0;
  border-block-end: 1px solid var(--_line);
}
.entry time { color: var(--_quiet); font-variant-numeric: tabular-nums; }
.entry code {
  font: inherit; font-family: ui-monospace, "SF Mono", "Cascadia Mono", Menlo, Consolas, "Liberation Mono", monospace;
  overflow-wrap: anywhere;
}
:host([state="trouble"]) .line { opacity: 0.5; }
[hidden] { display: none !important; }
`;

// Constructed in script: a strict content security policy refuses style elements and attributes, not these.
export const sheet = new CSSStyleSheet();
sheet.replaceSync(CSS);

export const hidden = new CSSStyleSheet();
hidden.replaceSync(
  ":host { position: absolute; inline-size: 1px; block-size: 1px; overflow: hidden; clip-path: inset(50%); white-space: nowrap; }",
);
