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
const DIGITS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";

// What the protocol client can besides: four more ways to a server than the WebSocket, channels that are polled,
// publications that tell only what differs. Nothing here takes them.
const UNUSED = [
  "class SockjsTransport {",
  "class HttpStreamTransport {",
  "class SseTransport {",
  "class WebtransportTransport {",
  "class SharedPollSubscription extends BaseSubscription {",
  "function applyDelta(source, delta) {",
];
const lean = {
  name: "without what nobody uses",
  setup(building) {
    building.onLoad({ filter: /centrifuge[\\/]build[\\/]index\.mjs$/ }, async ({ path: file }) => {
      let contents = await readFile(file, "utf8");
      for (const begin of UNUSED) {
        if (!contents.includes(`\n${begin}\n`)) throw new Error(`centrifuge has no "${begin}" any more`);
        // It is empty now; what was in it is in one that nobody uses, and left out.
        const other = begin.replace(/^(class|function) /, "$1 Unused");
        contents = contents.replace(`\n${begin}\n`, `\n${begin}}\n${other}\n`);
      }
      return { contents };
    });
  },
};

// `limit`: bytes. Every page that is live loads the protocol client; gridstack is loaded when somebody edits, and not
// before. What a page may load in all, with its own modules, is in tests/browser/test_accessibility.py.
const scripts = [
  {
    out: `${LIVE}/centrifuge.js`,
    package: "centrifuge",
    code: 'export { Centrifuge } from "centrifuge";',
    plugins: [lean],
    limit: 68 * 1024,
  },
  {
    out: `${PROJECT}/gridstack.js`,
    package: "gridstack",
    code: 'export { GridStack } from "gridstack";',
    limit: 92 * 1024,
  },
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
// the protocol client, the shortest for those that occur most. They keep the underscore, which gridstack looks for;
// names that are texts somewhere stay.
function shortNames(code) {
  const texts = new Set(Array.from(code.matchAll(/["'`](_\w*)["'`]/g), ([, name]) => name));
  const times = new Map();
  for (const [name] of code.matchAll(/(?<![\w$])_\w+/g)) times.set(name, (times.get(name) ?? 0) + 1);
  const names = [...times.keys()].filter((name) => !texts.has(name)).sort((a, b) => times.get(b) - times.get(a));
  const short = names.map((name, index) => [name, `_${digits(index)}`]);
  const taken = new Set(short.map(([, name]) => name));
  for (const name of texts) if (taken.has(name)) throw new Error(`${name} is a text and a short name`);
  return Object.fromEntries([...short, ...Array.from(texts, (name) => [name, false])]);
}

function digits(number) {
  const rest = Math.floor(number / DIGITS.length);
  return (rest > 0 ? digits(rest) : "") + DIGITS[number % DIGITS.length];
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

for (const { out, limit = Infinity } of entries) {
  const { size } = await stat(path.join(root, out));
  console.log(`${String(Math.ceil(size / 1024)).padStart(5)} KB  ${out}`);
  if (size > limit) {
    console.error(`${out} is larger than ${limit / 1024} KB.`);
    process.exitCode = 1;
  }
}
