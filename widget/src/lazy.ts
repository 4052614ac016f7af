/** Parts that are fetched when they are first needed: the Markdown reader, and the words of languages other than English. */

/** File names by part, put in by the build; none where everything is in one file. */
declare const __PARTS__: Record<string, string>;

const files: Record<string, string> = typeof __PARTS__ === "undefined" ? {} : __PARTS__;
const there = new Map<string, unknown>();
const coming = new Map<string, Promise<void>>();
let load: (file: string) => Promise<unknown> = () => Promise.reject(new Error("nothing to load from"));

/** Says how a file beside this script is loaded. */
export function partsFrom(loader: (file: string) => Promise<unknown>): void {
  load = loader;
}

/** Puts a part where `part` finds it, without fetching. */
export function provide(name: string, content: unknown): void {
  there.set(name, content);
}

export function part<T>(name: string): T | undefined {
  return there.get(name) as T | undefined;
}

/** Fetches a part once; settles in any case, because everything works without it, only plainer. A failure is tried again. */
export function want(name: string): Promise<void> {
  if (there.has(name) || !files[name]) return Promise.resolve();
  const known = coming.get(name);
  if (known) return known;
  const started = load(files[name]!).then(
    (module) => void there.set(name, module),
    () => void coming.delete(name),
  );
  coming.set(name, started);
  return started;
}
