/** Chunks that are fetched when they are first needed: the list of messages with its Markdown, and the texts of other languages. */

/** File names by chunk, put in by the build; none where everything is in one file. */
declare const __CHUNKS__: Record<string, string>;

const files: Record<string, string> = typeof __CHUNKS__ === "undefined" ? {} : __CHUNKS__;
const loaded = new Map<string, unknown>();
interface PendingChunk {
  tries: number;
  failed: number;
  done: Promise<void>;
}
const pending = new Map<string, PendingChunk>();
let load: (file: string) => Promise<unknown> = () =>
  Promise.reject(new Error("nothing to load from"));

/** Says how a file beside this script is loaded. */
export function setChunkLoader(loader: (file: string) => Promise<unknown>): void {
  load = loader;
}

/** Registers a chunk that is already here, so that `getChunk` finds it. */
export function registerChunk(name: string, content: unknown): void {
  loaded.set(name, content);
}

export function getChunk<T>(name: string): T | undefined {
  return loaded.get(name) as T | undefined;
}

/** Least milliseconds between two tries to fetch the same chunk. */
const RETRY_MS = 2500;

/**
 * Fetches a chunk; true once it is there. After a failure the next call later on tries again,
 * under another address, because browsers remember a module that failed.
 */
export async function loadChunk(name: string): Promise<boolean> {
  if (loaded.has(name) || !files[name]) return loaded.has(name);
  let known = pending.get(name);
  if (!known || (known.failed && Date.now() - known.failed > RETRY_MS)) {
    const tries = known ? known.tries + 1 : 0;
    const started: PendingChunk = {
      tries,
      failed: 0,
      done: load(files[name]! + (tries ? `?${tries}` : "")).then(
        (module) => void loaded.set(name, module),
        () => void (started.failed = Date.now()),
      ),
    };
    pending.set(name, (known = started));
  }
  await known.done;
  return loaded.has(name);
}
