/** What becomes of the page: seen or hidden, on or off the network, woken, and what other tabs store. */

/** A tab in the background stays in the conversation for so long, in ms: a look elsewhere is no leaving. */
const LINGER = 10_000;

export interface PageParts { onWake(): void; onChange(): void; onStorage(event: StorageEvent): void }

export type Page = ReturnType<typeof watchPage>;

export function watchPage(parts: PageParts) {
  let lingering = true, timer: ReturnType<typeof setTimeout> | undefined;
  const pauses = new Set<() => void>();
  const visible = () => document.visibilityState !== "hidden";
  const hurry = () => { for (const go of [...pauses]) go(); };

  const seen = () => {
    clearTimeout(timer);
    if (visible()) { lingering = true; hurry(); parts.onWake(); }
    else timer = setTimeout(() => { lingering = false; parts.onChange(); }, LINGER);
    parts.onChange();
  };
  const woken = () => { hurry(); parts.onWake(); parts.onChange(); };

  const listening = new AbortController();
  const { signal } = listening;
  document.addEventListener("visibilitychange", seen, { signal });
  addEventListener("online", woken, { signal });
  addEventListener("offline", () => parts.onChange(), { signal });
  addEventListener("pageshow", woken, { signal });
  addEventListener("storage", (event) => parts.onStorage(event as StorageEvent), { signal });

  return {
    get visible(): boolean { return visible(); },
    /** Visible, or out of sight for a moment only. */
    get present(): boolean { return visible() || lingering; },
    get online(): boolean { return navigator.onLine !== false; },
    /** Waits `ms`, or less where the page wakes meanwhile. */
    pause(ms: number): Promise<void> {
      return new Promise((resolve) => {
        const wait = setTimeout(done, ms);
        function done() { clearTimeout(wait); pauses.delete(done); resolve(); }
        pauses.add(done);
      });
    },
    dispose(): void { clearTimeout(timer); listening.abort(); hurry(); },
  };
}
