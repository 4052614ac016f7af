/** Renders the application in Node and puts the HTML into the built page, which hydrates it. Run in the app's folder. */
import { readdir, readFile, rm, writeFile } from "node:fs/promises";
import { pathToFileURL } from "node:url";

const page = "dist/index.html";
const [server] = (await readdir("dist/server")).filter((name) => name.startsWith("server."));
const { render } = await import(pathToFileURL(`dist/server/${server}`).href);
const html = await render();
await writeFile(page, (await readFile(page, "utf8")).replace("<!--app-->", () => html));
await rm("dist/server", { recursive: true });
