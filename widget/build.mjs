/** Builds app/static/: the stable widget.js, the hashed bundles it loads, and manifest.json with their integrity. */
import { createHash } from "node:crypto";
import { mkdir, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";
import { build } from "esbuild";

const here = fileURLToPath(new URL(".", import.meta.url));
const out = fileURLToPath(new URL("../app/static/", import.meta.url));
const verify = process.argv.includes("--verify");
const budgets = { "widget.js": 2048, "panel.js": 30 * 1024 };

/** The packages whose code is in a bundle; their licences ask for their texts to be passed on. */
const bundled = new Set();

/** The licence of each package in the bundles, as it comes with the package. */
async function licenses() {
  const texts = [...bundled].sort().map(async (name) => {
    const folder = `${here}node_modules/${name}/`;
    const { version, license } = JSON.parse(await readFile(`${folder}package.json`, "utf8"));
    const file = (await readdir(folder)).find((entry) => /^licen[sc]e/i.test(entry));
    if (!file) throw new Error(`${name} comes without the text of its licence`);
    const text = (await readFile(folder + file, "utf8")).replaceAll("\r\n", "\n");
    return `${name} ${version} (${license})\n\n${text.trim()}\n`;
  });
  const head = "Parts of other projects in the built files beside this one, and their licences.\n";
  return [head, ...(await Promise.all(texts))].join(`\n${"-".repeat(80)}\n\n`);
}

/** One bundle as text; the same sources always give the same bytes. */
async function bundle(entry, format, define = { __WIDGET__: "true" }) {
  const result = await build({
    absWorkingDir: here,
    entryPoints: [entry],
    bundle: true,
    format,
    define,
    write: false,
    minify: !process.argv.includes("--unminified"),
    charset: "utf8",
    target: ["es2022", "safari16.4"],
    legalComments: "none",
    logLevel: "warning",
    tsconfig: `${here}tsconfig.json`,
    // A host page's content must not stand in for `document`'s properties; the full page has no such content.
    inject: ["src/widget.ts", "src/messages.chunk.ts", "src/people.chunk.ts"].includes(entry)
      ? ["src/client/unclobbered-document.ts"]
      : [],
    plugins: [templates, locales(entry)],
    metafile: true,
  });
  if (process.argv.includes("--weights")) weigh(entry, result.metafile);
  for (const path of Object.keys(result.metafile.inputs)) {
    const name = /node_modules\/((?:@[^/]+\/)?[^/]+)\//.exec(path)?.[1];
    if (name) bundled.add(name);
  }
  return result.outputFiles[0].text;
}

/** Takes the indentation out of css`` and html`` templates, which a minifier must leave alone. */
const templates = {
  name: "templates",
  setup(context) {
    context.onLoad({ filter: /src[\\/].*\.ts$/ }, async ({ path }) => {
      const source = await readFile(path, "utf8");
      const contents = source
        .replace(
          /\bcss`([^`]*)`/g,
          (_, css) =>
            "css`" +
            css
              .replace(/\/\*[\s\S]*?\*\//g, "")
              .replace(/\s+/g, " ")
              .replace(/ ?([{};,>]) ?/g, "$1")
              .replace(/;}/g, "}")
              .trim() +
            "`",
        )
        .replace(/\bhtml`[^`$]*|>\s+</g, (part) => part.replace(/\s+/g, " "));
      return { contents, loader: "ts" };
    });
    // Lit counts its copies in a global of its own; the host page gets none but Baton.
    context.onLoad({ filter: /node_modules[\\/]lit-html[\\/]lit-html\.js$/ }, async ({ path }) => {
      const source = await readFile(path, "utf8");
      const quiet = source.replace(/\(\w+\.litHtmlVersions\?\?=\[\]\)\.push\("[^"]*"\)/, "0");
      // A Trusted Types policy of our own: a site with Lit on it has that name already.
      const contents = quiet.replace('createPolicy("lit-html"', 'createPolicy("baton"');
      if (quiet === source || contents === quiet)
        throw new Error("lit-html has changed: look for litHtmlVersions and createPolicy again");
      return { contents, loader: "js" };
    });
  },
};

/** Texts that only the full page shows. */
const PAGE_ONLY = new Set([
  "back",
  "tab.close",
  "handed",
  "handed.new",
  "notice.continued",
  "notice.deadLink",
  "notice.notYours",
]);

/**
 * English texts shown only once there are messages: they are in the messages chunk, not in the panel. Whole keys, or
 * the first part of a key.
 */
const WITH_MESSAGES = new Set([
  "you",
  "assistant",
  "ok",
  "cancel",
  "words",
  "thinking",
  "today",
  "yesterday",
  "copy",
  "copied",
  "code",
  "table",
  "task",
  "source",
  "sources",
  "rate",
  "sending",
  "queued",
  "failed",
  "stopped",
  "interrupted",
  "taken",
  "broken",
  "retry",
  "earlier",
  "elsewhere",
  "wait",
  "link",
  "qr",
  "end.title",
  "end.text",
  "delete.title",
  "delete.text",
  "delete.yes",
  "transcript.failed",
  "notice",
  "notice.erased",
  "notice.notErased",
  "notice.notEnded",
  "notice.notStopped",
  "notice.busy",
  "notice.next",
  "notice.full",
  "notice.tooLong",
  "notice.refused",
  "notice.notAccepted",
  "notice.cannotAnswer",
  "notice.answerFailed",
  "notice.engineBusy",
]);

const isWithPeople = (key) => key.startsWith("people.");

const isWithMessages = (key) =>
  WITH_MESSAGES.has(key) || (!key.startsWith("notice.") && WITH_MESSAGES.has(key.split(".")[0]));

/** Whether a bundle contains a text: page and desk have all, other bundles none of the page's, and English is split in three. */
function contains(entry, file, key) {
  if (entry === "src/page.ts" || entry === "src/desk.ts") return true;
  if (PAGE_ONLY.has(key)) return false;
  if (!file.endsWith("en.json")) return true;
  if (isWithPeople(key)) return entry === "src/people.chunk.ts";
  if (isWithMessages(key)) return entry === "src/messages.chunk.ts";
  return !entry.endsWith(".chunk.ts");
}

const locales = (entry) => ({
  name: "locales",
  setup(context) {
    context.onLoad({ filter: /src[\\/]locales[\\/]\w+\.json$/ }, async ({ path }) => {
      const texts = Object.entries(JSON.parse(await readFile(path, "utf8")));
      return {
        contents: JSON.stringify(
          Object.fromEntries(texts.filter(([key]) => contains(entry, path, key))),
        ),
        loader: "json",
      };
    });
  },
});

/** Says which sources make a bundle heavy. */
function weigh(entry, { outputs }) {
  const inputs = Object.entries(Object.values(outputs)[0].inputs).sort(
    ([, a], [, b]) => b.bytesInOutput - a.bytesInOutput,
  );
  console.log(entry);
  for (const [name, { bytesInOutput }] of inputs.slice(0, 40))
    console.log(`${String(bytesInOutput).padStart(8)} ${name}`);
}

const hashed = (name, text) =>
  name.replace(".js", `-${createHash("sha256").update(text).digest("hex").slice(0, 12)}.js`);
const integrity = (text) => `sha384-${createHash("sha384").update(text).digest("base64")}`;

/** The texts of the other languages in a folder, a bundle each. */
async function localeChunks(folder, prefix) {
  const names = (await readdir(`${here}${folder}`)).sort();
  const found = names.filter((file) => file.endsWith(".json") && file !== "en.json");
  return Object.fromEntries(
    await Promise.all(
      found.map(async (file) => [
        `${prefix}${file.replace(".json", ".js")}`,
        await bundle(`${folder}/${file}`, "esm"),
      ]),
    ),
  );
}

// What the panel fetches when it first needs it: the list of messages with its Markdown, and the texts of other languages.
const chunks = {
  "identity.js": await bundle("src/state/identity.ts", "esm"),
  "locks.js": await bundle("src/locks.chunk.ts", "esm"),
  "messages.js": await bundle("src/messages.chunk.ts", "esm"),
  "people.js": await bundle("src/people.chunk.ts", "esm"),
  "phone.js": await bundle("src/phone.chunk.ts", "esm"),
  "standalone.js": await bundle("src/standalone.chunk.ts", "esm"),
  ...(await localeChunks("src/locales", "locale-")),
};
const deskChunks = await localeChunks("src/locales/desk", "desk-locale-");
const fileNames = (bundles) =>
  Object.fromEntries(
    Object.entries(bundles).map(([name, text]) => [name.replace(".js", ""), hashed(name, text)]),
  );

const panel = await bundle("src/widget.ts", "esm", {
  __CHUNKS__: JSON.stringify(fileNames(chunks)),
  __WIDGET__: "true",
});
// The operators' page, which no visitor loads.
const desk = await bundle("src/desk.ts", "esm", {
  __CHUNKS__: JSON.stringify(fileNames({ ...chunks, ...deskChunks })),
  __WIDGET__: "false",
});
const page = await bundle("src/page.ts", "iife", { __WIDGET__: "false" });
const widget = await bundle("src/loader.ts", "esm", {
  __PANEL__: JSON.stringify(hashed("panel.js", panel)),
  __WIDGET__: "true",
});

const files = {};
const manifest = { integrity: {} };
for (const [name, text] of Object.entries({
  "widget.js": widget,
  "panel.js": panel,
  "page.js": page,
  "desk.js": desk,
  ...chunks,
  ...deskChunks,
})) {
  const file = name === "widget.js" ? name : hashed(name, text);
  files[file] = text;
  manifest[name] = file;
  manifest.integrity[file] = integrity(text);
  const size = gzipSync(text, { level: 9 }).length;
  console.log(
    `${file.padEnd(26)} ${String(text.length).padStart(7)} bytes ${String(size).padStart(6)} gzip`,
  );
  if (budgets[name] && size > budgets[name]) {
    console.error(`${name} is over its budget of ${budgets[name]} bytes gzip`);
    process.exitCode = 1;
  }
}
files["licenses.txt"] = await licenses();
files["manifest.json"] = JSON.stringify(manifest, null, 2) + "\n";

await mkdir(out, { recursive: true });
const mine = (name) =>
  /^((widget|panel|page|messages|people|phone|standalone|locks|identity|desk|(?:desk-)?locale-[a-z]+)(-[0-9a-f]{12})?\.js|manifest\.json|licenses\.txt)$/.test(
    name,
  );
const present = (await readdir(out)).filter(mine);
if (verify) {
  const wrong = new Set(present.filter((name) => !(name in files)));
  for (const [name, text] of Object.entries(files)) {
    if ((await readFile(out + name, "utf8").catch(() => "")) !== text) wrong.add(name);
  }
  if (wrong.size) {
    console.error(
      `app/static differs from a fresh build: ${[...wrong].sort().join(", ")}. Run: npm run build`,
    );
    process.exitCode = 1;
  }
} else {
  for (const name of present) if (!(name in files)) await rm(out + name);
  for (const [name, text] of Object.entries(files)) await writeFile(out + name, text);
}
