/** Browser tabs for tests: storage, locks and channels of one browser, and conversations in them. */
import { createConversation } from "../src/state/conversation";
import * as locks from "../src/locks.chunk";
import { registerChunk } from "../src/client/lazy-chunks";
import { createActions } from "../src/state/actions";
import { createAnswerWatchdog } from "../src/state/answer-watchdog";
import { createLiveFeed } from "../src/state/live-feed";
import { createPeople } from "../src/state/people";
import { randomId } from "../src/client/tab-sync";
import type { Conversation, Options } from "../src/types";
import type { FakeService } from "./fake-service";

registerChunk("messages", { createActions, createAnswerWatchdog, createLiveFeed });
registerChunk("locks", locks);
registerChunk("people", { createPeople });

export class MemoryStorage {
  private all = new Map<string, string>();
  constructor(other?: MemoryStorage) {
    if (other) for (const [key, value] of other.all) this.all.set(key, value);
  }
  getItem(key: string): string | null {
    return this.all.get(key) ?? null;
  }
  setItem(key: string, value: string): void {
    this.all.set(key, String(value));
  }
  removeItem(key: string): void {
    this.all.delete(key);
  }
  get keys(): string[] {
    return [...this.all.keys()];
  }
  get values(): string[] {
    return [...this.all.values()];
  }
}

type Work = () => unknown;

/** Web Locks as the specification has them: exclusive, in order, given up by an abort while waiting. */
class Locks {
  private queues = new Map<string, (() => void)[]>();
  private held = new Set<string>();
  request = async (
    name: string,
    options: { signal?: AbortSignal } | Work,
    given?: Work,
  ): Promise<unknown> => {
    const work = (typeof options === "function" ? options : given)!;
    const signal = typeof options === "function" ? undefined : options.signal;
    signal?.throwIfAborted();
    if (this.held.has(name)) {
      await new Promise<void>((go, stop) => {
        const queue = this.queues.get(name) ?? [];
        this.queues.set(name, queue);
        queue.push(go);
        signal?.addEventListener("abort", () => {
          const at = queue.indexOf(go);
          if (at >= 0) {
            queue.splice(at, 1);
            stop(signal.reason);
          }
        });
      });
    }
    this.held.add(name);
    try {
      return await work();
    } finally {
      this.held.delete(name);
      this.queues.get(name)?.shift()?.();
    }
  };
}

export class Browser {
  local = new MemoryStorage();
  locks = new Locks();
  private tabs: { conversation: Conversation; storage: MemoryStorage }[] = [];
  constructor(readonly service: FakeService) {}

  /** A tab with the widget open in it, or the full page with `own`. */
  tab(
    options: Options = {},
    {
      own = false,
      storage = new MemoryStorage(),
      active = true,
      start = true,
      session = undefined as string | undefined,
    } = {},
  ) {
    const conversation = createConversation(
      { apiUrl: "https://svc.test/", ...options },
      {
        fetch: this.service.fetch,
        isFullPage: own,
        storages: { local: this.shared(), tab: storage as unknown as Storage },
        platform: {
          ...(this.holders() as unknown as { locks: LockManager; nativeLocks: LockManager | null }),
          channel: this.mute ? null : (name) => new BroadcastChannel(name),
        },
        timing: { minDelay: 20, maxDelay: 200 },
      },
    );
    this.tabs.push({ conversation, storage });
    if (active) conversation.setActive(true);
    const ready = start ? conversation.start(session ? { session } : {}) : Promise.resolve();
    return {
      conversation,
      storage,
      ready,
      get state() {
        return conversation.state;
      },
    };
  }

  /** Tabs that hear of one another by the storage alone. */
  mute = false;
  /** A page on plain http has no Web Locks. */
  plain = false;
  private holders(): { locks: Locks; nativeLocks: Locks | null } {
    if (this.plain)
      return {
        locks: locks.createLocalStorageLocks(
          this.local as unknown as Storage,
          randomId(),
        ) as unknown as Locks,
        nativeLocks: null,
      };
    return { locks: this.locks, nativeLocks: this.locks };
  }

  /** localStorage; what is written tells the window, as another tab's writing would. */
  private shared(): Storage {
    const { local } = this;
    const put = (key: string, newValue: string | null) => {
      const oldValue = local.getItem(key);
      if (newValue === null) local.removeItem(key);
      else local.setItem(key, newValue);
      queueMicrotask(() =>
        window.dispatchEvent(new StorageEvent("storage", { key, oldValue, newValue })),
      );
    };
    return {
      getItem: (key: string) => local.getItem(key),
      setItem: put,
      removeItem: (key: string) => put(key, null),
    } as Storage;
  }

  close(): void {
    for (const { conversation } of this.tabs) conversation.dispose();
  }
}

/** Waits for a condition, with a deadline; the error says what was there instead, such as the state of a tab. */
export async function until(
  condition: () => unknown,
  seen: (() => unknown) | { state: unknown } = () => "",
  ms = 4000,
): Promise<void> {
  const deadline = Date.now() + ms;
  while (!condition()) {
    if (Date.now() > deadline) {
      const found = typeof seen === "function" ? seen() : seen.state;
      throw new Error(`not in time: ${condition}; there is ${JSON.stringify(found)}`);
    }
    await new Promise((go) => setTimeout(go, 5));
  }
}
