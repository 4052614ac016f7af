/** Browsers copy a tab's sessionStorage when the tab is duplicated: finds that out, for conversations of one tab each. */
import type { BrowserStorage } from "./browser-storage";
import { randomId, type Locks } from "./tab-sync";

/** A duplicated tab must not continue the conversation of the other one. */
export async function detectDuplicateTab(
  storage: BrowserStorage,
  locks: Locks | null,
): Promise<void> {
  const name = storage.tabId;
  const duplicate = name !== null && (await isDuplicate(locks, `baton:tab:${name}`));
  if (duplicate) storage.clearTabState();
  if (name !== null && !duplicate) return;
  storage.tabId = randomId();
  await isDuplicate(locks, `baton:tab:${storage.tabId}`);
}

/**
 * Whether another living tab has this tab's name, so that this one is its duplicate (which starts with a copy of
 * its sessionStorage). `name` is held for the life of the page; a reload waits for the page before to let go.
 */
async function isDuplicate(locks: Locks | null, name: string, timeoutMs = 1000): Promise<boolean> {
  if (!locks) return false;
  const giveUp = new AbortController();
  const timer = setTimeout(() => giveUp.abort(), timeoutMs);
  return new Promise((resolve) => {
    locks
      .request(name, { signal: giveUp.signal }, () => {
        clearTimeout(timer);
        resolve(false);
        return new Promise<void>((free) =>
          addEventListener("pagehide", () => free(), { once: true }),
        );
      })
      .catch(() => {
        clearTimeout(timer);
        resolve(giveUp.signal.aborted);
      });
  });
}
