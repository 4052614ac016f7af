/** Parts that are fetched when they are first needed: the list of messages with its Markdown, and the words of other languages. */

/** File names by part, put in by the build; none where everything is in one file. */
declare const __PARTS__: Record<string, string>;

const files: Record<string, string> = typeof __PARTS__ === "undefined" ? {} : __PARTS__;
const there = new Map<string, unknown>();
interface Coming { tries: number; failed: number; done: Promise<void> }
const coming = new Map<string, Coming>();
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

/** Least milliseconds between two tries to fetch the same part. */
const PATIENCE = 2500;

/**
 * Fetches a part; true once it is there. After a failure the next call later on tries again,
 * under another address, because browsers remember a module that failed.
 */
export async function want(name: string): Promise<boolean> {
  if (there.has(name) || !files[name]) return there.has(name);
  let known = coming.get(name);
  if (!known || (known.failed && Date.now() - known.failed > PATIENCE)) {
    const tries = known ? known.tries + 1 : 0;
    const started: Coming = { tries, failed: 0, done: load(files[name]! + (tries ? `?${tries}` : "")).then(
      (module) => void there.set(name, module),
      () => void (started.failed = Date.now()),
    ) };
    coming.set(name, (known = started));
  }
  await known.done;
  return there.has(name);
}
