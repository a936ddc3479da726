// Builds the browser libraries into static folders: one ES module or stylesheet each, minified, licence notices kept.
// `live` gets the protocol client it imports, the demo site gets what its pages use. Nothing here is committed. The
// full licence texts of everything bundled go beside them, as the licences ask.

import { build } from "esbuild";
import { readdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import path from "node:path";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("../../", import.meta.url));
const LIVE = "live/static/live/vendor";
const PROJECT = "project/static/project/vendor";
const SCRIPT_LIMIT = 165 * 1024; // bytes of these scripts; with their own modules the pages stay below 300 KB

// The protocol client knows four more ways to a server than the WebSocket. Nothing here takes them.
const OTHER_WAYS = ["SockjsTransport", "HttpStreamTransport", "SseTransport", "WebtransportTransport"];
const webSocketOnly = {
  name: "WebSocket only",
  setup(building) {
    building.onLoad({ filter: /centrifuge[\\/]build[\\/]index\.mjs$/ }, async ({ path: file }) => {
      let contents = await readFile(file, "utf8");
      for (const name of OTHER_WAYS) {
        const begin = `\nclass ${name} {\n`;
        if (!contents.includes(begin)) throw new Error(`centrifuge has no ${name} any more`);
        // The class is empty now; what was in it is in one that nobody uses, and left out.
        contents = contents.replace(begin, `\nclass ${name} {}\nclass Unused${name} {\n`);
      }
      return { contents };
    });
  },
};

const scripts = [
  { out: `${LIVE}/centrifuge.js`, package: "centrifuge", code: 'export { Centrifuge } from "centrifuge";', plugins: [webSocketOnly] },
  { out: `${PROJECT}/gridstack.js`, package: "gridstack", code: 'export { GridStack } from "gridstack";' },
];

const styles = [
  { out: `${PROJECT}/gridstack.css`, package: "gridstack", file: "dist/gridstack.css" },
  { out: `${PROJECT}/pico.css`, package: "@picocss/pico", file: "css/pico.css" },
];

// Not every package carries a notice in its sources, so each file starts with one made from the package's own data.
async function notice(name) {
  const { version, license } = JSON.parse(await readFile(path.join(root, "node_modules", name, "package.json"), "utf8"));
  return `/*! ${name} ${version}, licence ${license} */`;
}

// The packages whose files went into a bundle.
function packagesIn(metafile) {
  const names = Object.keys(metafile.inputs).map((file) => /node_modules\/((?:@[^/]+\/)?[^/]+)/.exec(file)?.[1]);
  return names.filter(Boolean);
}

async function licences(folder, names) {
  const texts = [];
  for (const name of [...new Set(names)].sort()) {
    const home = path.join(root, "node_modules", name);
    const file = (await readdir(home)).find((entry) => /^licen[cs]e/i.test(entry));
    if (!file) throw new Error(`${name} has no licence text`);
    texts.push(`${name}\n${"=".repeat(name.length)}\n\n${(await readFile(path.join(home, file), "utf8")).trim()}\n`);
  }
  await writeFile(path.join(root, folder, "LICENSES.txt"), texts.join("\n\n"));
}

const common = {
  absWorkingDir: root,
  bundle: true,
  minify: true,
  metafile: true,
  legalComments: "inline",
  target: ["es2022"],
  charset: "utf8",
  logLevel: "warning",
};

async function script(entry) {
  const options = {
    ...common,
    stdin: { contents: entry.code, resolveDir: root, sourcefile: `${entry.package}.entry.js` },
    outfile: entry.out,
    format: "esm",
    platform: "browser",
    plugins: entry.plugins,
    banner: { js: await notice(entry.package) },
  };
  const whole = await build({ ...options, minify: false, write: false });
  return build({ ...options, mangleProps: /^_/, mangleCache: shortNames(whole.outputFiles[0].text) });
}

// The libraries begin the names of their private parts with an underscore. Short ones in their place save a fifth of
// the protocol client. They keep the underscore, which gridstack looks for; names that are texts somewhere stay.
function shortNames(code) {
  const texts = new Set(Array.from(code.matchAll(/["'`](_\w*)["'`]/g), ([, name]) => name));
  const names = [...new Set(code.match(/(?<![\w$])_\w+/g))];
  return Object.fromEntries(names.map((name, index) => [name, texts.has(name) ? false : `_${index.toString(36)}`]));
}

async function style(entry) {
  return build({
    ...common,
    entryPoints: [path.join("node_modules", entry.package, entry.file)],
    outfile: entry.out,
    loader: { ".svg": "dataurl" },
    banner: { css: await notice(entry.package) },
  });
}

await Promise.all([LIVE, PROJECT].map((folder) => rm(path.join(root, folder), { recursive: true, force: true })));
const entries = [...scripts, ...styles];
const built = await Promise.all([...scripts.map(script), ...styles.map(style)]);
for (const folder of [LIVE, PROJECT]) {
  await licences(
    folder,
    built.flatMap(({ metafile }, index) => (entries[index].out.startsWith(folder) ? packagesIn(metafile) : [])),
  );
}

let total = 0;
for (const { out } of entries) {
  const { size } = await stat(path.join(root, out));
  total += out.endsWith(".js") ? size : 0;
  console.log(`${String(Math.ceil(size / 1024)).padStart(5)} KB  ${out}`);
}
console.log(`${String(Math.ceil(total / 1024)).padStart(5)} KB  scripts in all`);
if (total > SCRIPT_LIMIT) {
  console.error(`The scripts are larger than ${SCRIPT_LIMIT / 1024} KB.`);
  process.exitCode = 1;
}
