/** What the browser remembers of a conversation, by scope; in memory where storage is blocked or full. */
import { isSessionId } from "../options";

export interface StoredSession {
  id: string;
  /** Milliseconds since the epoch of the last activity. */
  seen: number;
  /** Opened by a link that others may hold too. */
  elsewhere?: boolean;
  /** Opened by a one-time link to a session that this browser did not know: it may be somebody else's. */
  handed?: boolean;
  /** A fingerprint of the signed-in user who owns it: not resumed without that user's token. */
  user?: string;
  /** A fingerprint of the anonymous conversation that was claimed and became this one. */
  from?: string;
  /** On the full page: the token that a link brought, for this tab alone. */
  token?: string;
}
/** A question that is not acknowledged yet. */
export interface StoredQuestion {
  client_id: string;
  text: string;
  at: string;
  /** Refused: it waits for Retry. */ held?: boolean;
}
/** A link being opened: the same ticket and client id again get the same answer, so a reload in between loses nothing. */
export interface PendingResume {
  session: string;
  client_id: string;
}

/** What is taken from the storage, whatever somebody put there: characters of a text (the service takes no more), unsent questions. */
const MAX_TEXT = 65_536,
  MAX_UNSENT = 50;

export type Scope = "browser" | "tab" | "page";

export interface BrowserStorages {
  local: Storage | null;
  tab: Storage | null;
}

/** Reading the property alone may throw where storage is blocked. */
export function browserStorages(view: Window = window): BrowserStorages {
  const find = (name: "localStorage" | "sessionStorage") => {
    try {
      return view[name];
    } catch {
      return null;
    }
  };
  return { local: find("localStorage"), tab: find("sessionStorage") };
}

/** What is stored below a prefix. */
function namesIn(place: Storage | null, prefix: string): string[] {
  try {
    const all = Object.keys(place ?? {});
    return all.filter((key) => key.startsWith(prefix)).map((key) => key.slice(prefix.length));
  } catch {
    return [];
  }
}

export type BrowserStorage = ReturnType<typeof createBrowserStorage>;

/**
 * `base` is the service's address: two services on one site never meet. On the full page the tab keeps its
 * conversation for itself and shares it with the browser only where the browser has none. Each `key` that is a name has
 * a conversation of its own, with its draft and what was not sent.
 */
export function createBrowserStorage(
  base: string,
  scope: Scope,
  isFullPage: boolean,
  { local, tab }: BrowserStorages,
  key = "",
) {
  const prefix = `baton:${base.replace(/\/$/, "")}:`;
  const memory = new Map<string, string>();

  function read(place: Storage | null, name: string): string | null {
    try {
      const found = place?.getItem(prefix + name);
      if (found !== null && found !== undefined) return found;
    } catch {
      /* blocked: memory it is */
    }
    return memory.get(name + placeName(place)) ?? null;
  }
  function write(place: Storage | null, name: string, value: string | null): void {
    const known = name + placeName(place);
    if (value === null) memory.delete(known);
    else memory.set(known, value);
    try {
      if (value === null) place?.removeItem(prefix + name);
      else place?.setItem(prefix + name, value);
      if (place) memory.delete(known);
    } catch {
      /* blocked or full: memory has it */
    }
  }
  const placeName = (place: Storage | null) =>
    place === local ? "|local" : place === tab ? "|tab" : "|page";

  function readJson<T>(
    place: Storage | null,
    name: string,
    check: (value: T) => boolean,
  ): T | null {
    try {
      const value: unknown = JSON.parse(read(place, name) ?? "null");
      // Without a prototype: what the page added to Object.prototype was not stored.
      return value && check(value as T)
        ? ((Array.isArray(value) ? value : { __proto__: null, ...value }) as T)
        : null;
    } catch {
      return null;
    }
  }
  const isSaved = (value: StoredSession) => isSessionId(value.id) && typeof value.seen === "number";

  // The browser's own key names the conversation that there is without one.
  const name = isSessionId(key) || key === read(local, "key") ? "" : key;
  const named = (what: "session" | "draft" | "unsent" | "asked") =>
    name ? `${what}:${name}` : what;

  /** A duplicated tab came with a copy of everything: it starts with nothing, under no name. */
  const clearTabState = () => {
    for (const what of namesIn(tab, prefix))
      if (/^(session|draft|unsent|asked):/.test(what)) write(tab, what, null);
    for (const what of ["session", "draft", "unsent", "asked", "opening", "user"])
      write(tab, what, null);
  };
  // Somebody has signed out (in any tab) since this tab last checked: nothing of theirs is left here.
  const reset = read(local, "reset");
  if (reset !== read(tab, "reset")) {
    clearTabState();
    write(tab, "reset", reset);
  }

  const shared = { browser: local, tab, page: null }[scope];
  const home = !__WIDGET__ && isFullPage && scope !== "page" ? tab : shared;

  const sharedSession = () =>
    !__WIDGET__ && scope === "browser"
      ? readJson<StoredSession>(local, named("session"), isSaved)
      : null;

  return {
    /** The storage key of the session, for `storage` events. */
    key: prefix + named("session"),
    /** What the site calls the conversation; empty for the browser's own and for a given session. */
    name,
    isShared: scope === "browser" && (__WIDGET__ || !isFullPage),
    load(): StoredSession | null {
      return readJson<StoredSession>(home, named("session"), isSaved);
    },
    /** What the other tabs of this browser carry. */
    sharedSession,
    save(saved: StoredSession): void {
      write(home, named("session"), JSON.stringify(saved));
      if (!__WIDGET__ && isFullPage && sharedSession()?.id === saved.id)
        write(local, named("session"), JSON.stringify({ ...saved, token: undefined }));
    },
    /** Shares a conversation that began in this tab with the browser's other tabs. */
    share(saved: StoredSession): void {
      if (!__WIDGET__ && scope === "browser") write(local, named("session"), JSON.stringify(saved));
    },
    /** A session that another tab has stored meanwhile stays. Other tabs read `why` in their `storage` event. */
    forget(id: string | null, why: string | null = null): void {
      const clear = (place: Storage | null) => {
        if (why) write(place, named("session"), why);
        write(place, named("session"), null);
      };
      if (!id || readJson<StoredSession>(home, named("session"), isSaved)?.id === id) clear(home);
      if (!__WIDGET__ && isFullPage && id && sharedSession()?.id === id) clear(local);
    },
    get draft(): string {
      return read(tab, named("draft"))?.slice(0, MAX_TEXT) ?? "";
    },
    set draft(text: string) {
      write(tab, named("draft"), text || null);
    },
    get open(): boolean {
      return read(tab, "open") === "1";
    },
    set open(open: boolean) {
      write(tab, "open", open ? "1" : null);
    },
    get unsent(): StoredQuestion[] {
      return (
        readJson<StoredQuestion[]>(
          scope === "page" ? null : tab,
          named("unsent"),
          (value) =>
            Array.isArray(value) &&
            value.every(
              (one) =>
                one &&
                typeof one.client_id === "string" &&
                typeof one.text === "string" &&
                one.text.length <= MAX_TEXT,
            ),
        )?.slice(-MAX_UNSENT) ?? []
      );
    },
    set unsent(list: StoredQuestion[]) {
      write(
        scope === "page" ? null : tab,
        named("unsent"),
        list.length ? JSON.stringify(list) : null,
      );
    },
    /** The client id of the last question asked in this tab. */
    get lastClientId(): string {
      return read(scope === "page" ? null : tab, named("asked")) ?? "";
    },
    set lastClientId(client_id: string) {
      write(scope === "page" ? null : tab, named("asked"), client_id);
    },
    get opening(): PendingResume | null {
      return __WIDGET__
        ? null
        : readJson<PendingResume>(
            tab,
            "opening",
            (value) => typeof value.session === "string" && typeof value.client_id === "string",
          );
    },
    set opening(opening: PendingResume | null) {
      if (!__WIDGET__) write(tab, "opening", opening && JSON.stringify(opening));
    },
    /** A short name of the user whose conversation this tab had last; empty where it was anonymous. */
    get user(): string {
      return read(tab, "user") ?? "";
    },
    set user(user: string) {
      write(tab, "user", user || null);
    },
    get tabId(): string | null {
      return read(tab, "tab");
    },
    set tabId(id: string | null) {
      write(tab, "tab", id);
    },
    clearTabState,
  };
}
