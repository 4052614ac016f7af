/** Locks for pages that have none (plain http): a lease in localStorage, renewed while it is held. Good enough that one tab does it for all. */
import type { Locks } from "./tab-sync";

const LEASE_MS = 4_000;
type Work = () => unknown;

/** Two tabs may hold one for a moment; what is done under it must bear that. */
export function createLocalStorageLocks(local: Storage, owner: string): Locks {
  const read = (key: string): { owner?: string; until?: number } => {
    try {
      return JSON.parse(local.getItem(key) ?? "{}") ?? {};
    } catch {
      return {};
    }
  };
  const write = (key: string) =>
    local.setItem(key, JSON.stringify({ owner, until: Date.now() + LEASE_MS }));
  const mine = (key: string) => read(key).owner === owner;
  const sleep = (ms: number) => new Promise<void>((go) => setTimeout(go, ms));

  async function request(
    name: string,
    options: LockOptions | Work,
    given?: Work,
  ): Promise<unknown> {
    const work = (typeof options === "function" ? options : given)!;
    const signal = typeof options === "function" ? undefined : options.signal;
    const key = `baton:lease:${name}`;
    for (;;) {
      if (signal?.aborted) throw new DOMException("Given up", "AbortError");
      const { owner: other, until = 0 } = read(key);
      if (!other || until < Date.now()) {
        write(key);
        // Whoever wrote last has it.
        await sleep(30 + Math.random() * 30);
        if (mine(key)) break;
      }
      await sleep(300 + Math.random() * 300);
    }
    const renew = setInterval(() => {
      if (mine(key)) write(key);
    }, LEASE_MS / 3);
    const leave = () => {
      clearInterval(renew);
      if (mine(key)) local.removeItem(key);
    };
    addEventListener("pagehide", leave);
    try {
      return await work();
    } finally {
      removeEventListener("pagehide", leave);
      leave();
    }
  }
  return { request } as Locks;
}
