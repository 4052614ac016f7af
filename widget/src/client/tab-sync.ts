/** Tabs of one browser: which of them acts for all (Web Locks), and their messages to each other (BroadcastChannel). */
export type Locks = Pick<LockManager, "request">;

/** Where the platform has neither, every tab does everything itself. */
export interface Platform {
  locks: Locks | null;
  /** Locks that end with the page for certain. */ nativeLocks: Locks | null;
  channel: ((name: string) => BroadcastChannel) | null;
}

export function detectPlatform(): Platform {
  const locks = navigator.locks ?? null;
  return {
    locks,
    nativeLocks: locks,
    channel: typeof BroadcastChannel === "undefined" ? null : (name) => new BroadcastChannel(name),
  };
}

type Begin = () => () => void;

/**
 * Waits for the role `name` and runs `begin` when it is this tab's; what `begin` returns ends it.
 * With several names the first free one will do. Returns how to give it up, or to stop waiting for it.
 */
export function acquireRole(
  locks: Locks | null,
  names: string | readonly string[],
  begin: Begin,
): () => void {
  let end: (() => void) | null = null,
    over = false,
    release = () => {};
  const waiting = new AbortController();
  const start = (): void => {
    end = begin();
  };
  const finish = () => {
    const last = end;
    end = null;
    last?.();
  };

  if (!locks) {
    start();
    return () => {
      if (!over) {
        over = true;
        finish();
      }
    };
  }

  let taken = false;
  const grab = async (name: string): Promise<void> => {
    const request = new AbortController();
    let mine = false;
    waiting.signal.addEventListener("abort", () => request.abort());
    try {
      await locks.request(name, { signal: request.signal }, () => {
        // Given up, or another of the names came first.
        if (over || taken) return undefined;
        taken = mine = true;
        start();
        waiting.abort();
        return new Promise<void>((resolve) => {
          release = resolve;
        });
      });
    } catch (error) {
      if (over || (taken && !mine) || (error as Error)?.name === "AbortError") return;
      // No locks in this kind of page (a sandbox): on one's own.
      if (!taken) {
        taken = true;
        start();
      }
    }
  };
  for (const name of typeof names === "string" ? [names] : names) void grab(name);
  return () => {
    if (over) return;
    over = true;
    waiting.abort();
    finish();
    release();
  };
}

/** Runs `work` while no other tab runs it under this name. */
export async function withLock<T>(
  locks: Locks | null,
  name: string,
  work: () => Promise<T>,
): Promise<T> {
  let isRunning = false;
  const once = () => {
    isRunning = true;
    return work();
  };
  if (!locks) return once();
  try {
    return (await locks.request(name, once)) as T;
  } catch (error) {
    if (isRunning) throw error;
    return once();
  }
}

export interface Channel {
  post(message: object): void;
  close(): void;
}

/** Any script of this origin may post here: `onMessage` must check what it gets. */
export function openChannel(
  { channel }: Platform,
  name: string,
  onMessage: (message: Record<string, unknown>) => void,
): Channel {
  let open: BroadcastChannel | null = null;
  try {
    open = channel?.(name) ?? null;
  } catch {
    /* a page without an origin has no channels */
  }
  if (open) {
    open.onmessage = ({ data }) => {
      if (typeof data === "object" && data !== null && !Array.isArray(data))
        onMessage(data as Record<string, unknown>);
    };
  }
  return {
    post(message) {
      try {
        open?.postMessage(message);
      } catch {
        /* closed meanwhile */
      }
    },
    close() {
      if (open) open.onmessage = null;
      open?.close();
      open = null;
    },
  };
}

/** A short name for a secret, for locks and channels: it tells which conversation, not how to reach it. */
export function hash53(secret: string): string {
  let a = 0xdeadbeef,
    b = 0x41c6ce57;
  for (let i = 0; i < secret.length; i++) {
    const c = secret.charCodeAt(i);
    a = Math.imul(a ^ c, 2654435761);
    b = Math.imul(b ^ c, 1597334677);
  }
  return (a >>> 0).toString(36) + (b >>> 0).toString(36);
}

/** Random letters and digits, from the browser's generator. */
export function randomId(length = 20): string {
  const letters = "abcdefghijklmnopqrstuvwxyz0123456789";
  return Array.from(
    crypto.getRandomValues(new Uint8Array(length)),
    (byte) => letters[byte % 36],
  ).join("");
}
