/** The page's lifecycle: visible or hidden, online or offline, woken from sleep, and what other tabs store. */

/** How long a tab in the background still counts as visible, in ms: visitors look elsewhere for a moment. */
const HIDDEN_GRACE_MS = 10_000;

export interface PageParts {
  onWake(): void;
  onChange(): void;
  onStorage(event: StorageEvent): void;
}

export type Page = ReturnType<typeof observePage>;

export function observePage(parts: PageParts) {
  let recentlyVisible = true,
    timer: ReturnType<typeof setTimeout> | undefined;
  const sleepers = new Set<() => void>();
  const visible = () => document.visibilityState !== "hidden";
  const wakeSleepers = () => {
    for (const go of [...sleepers]) go();
  };

  const onVisibility = () => {
    clearTimeout(timer);
    if (visible()) {
      recentlyVisible = true;
      wakeSleepers();
      parts.onWake();
    } else
      timer = setTimeout(() => {
        recentlyVisible = false;
        parts.onChange();
      }, HIDDEN_GRACE_MS);
    parts.onChange();
  };
  const onWoken = () => {
    wakeSleepers();
    parts.onWake();
    parts.onChange();
  };

  const listening = new AbortController();
  const { signal } = listening;
  document.addEventListener("visibilitychange", onVisibility, { signal });
  addEventListener("online", onWoken, { signal });
  addEventListener("offline", () => parts.onChange(), { signal });
  addEventListener("pageshow", onWoken, { signal });
  addEventListener("storage", (event) => parts.onStorage(event as StorageEvent), { signal });

  return {
    get visible(): boolean {
      return visible();
    },
    /** Visible, or out of sight for a moment only. */
    get isRecentlyVisible(): boolean {
      return visible() || recentlyVisible;
    },
    get online(): boolean {
      return navigator.onLine !== false;
    },
    /** Waits `ms`, or less where the page wakes or the signal aborts meanwhile. */
    sleepUntilWake(ms: number, signal?: AbortSignal): Promise<void> {
      return new Promise((resolve) => {
        const wait = setTimeout(done, ms);
        function done() {
          clearTimeout(wait);
          signal?.removeEventListener("abort", done);
          sleepers.delete(done);
          resolve();
        }
        signal?.addEventListener("abort", done);
        sleepers.add(done);
      });
    },
    /** Ends every wait: the visitor does not want to wait. */
    wake: wakeSleepers,
    dispose(): void {
      clearTimeout(timer);
      listening.abort();
      wakeSleepers();
    },
  };
}
