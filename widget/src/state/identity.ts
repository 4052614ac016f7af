/** Whose the conversation is: sends the site's token, claims what was begun before signing in, finds it on any device. */
import type { Api, ApiError, Fetch, Resumed } from "../client/api";
import type { BrowserStorage, StoredSession } from "../client/browser-storage";
import type { Page } from "../client/page-lifecycle";
import { hash53, openChannel, randomId, type Platform } from "../client/tab-sync";
import type { Settings } from "../options";
import type { SessionManager } from "./session-manager";
import { isBusy, isClosed, when, type ConversationStore } from "./store";

/** The token, or a function that returns one: called again when the service does not accept the last one any more. */
export type TokenProvider = string | (() => string | Promise<string>);

export interface IdentityDeps {
  api: Api;
  store: ConversationStore;
  storage: BrowserStorage;
  sessions: SessionManager;
  page: Page;
  options: Settings;
  platform: Platform;
}

export interface IdentityManager {
  /** The page says who is signed in. `restart` begins anew where somebody else was in this tab before. */
  signIn(provider: TokenProvider, restart: () => void): Promise<void>;
  /** Takes the token for one conversation from the tab that claimed it out of the one in view here; whether it came. */
  requestTokenFromOtherTab(claimed: StoredSession): Promise<boolean>;
  /** At the start of the page: takes up the user's conversation; `record` is what the browser remembers. */
  restore(record: StoredSession | null): Promise<void>;
}

/** How long the site may take to give a token, and another tab to answer, in ms. */
const TOKEN_TIMEOUT = 15_000,
  OTHER_TAB_TIMEOUT = 1_000;

export function createIdentityManager(deps: IdentityDeps): IdentityManager {
  const { api, store, storage } = deps;
  const { restore, onSignInDuringChat } = createClaimFlow(deps);
  // `owner`: whose the token is. `lentFor`: the conversation that another tab gave it for; it is sent for no other.
  let provider: TokenProvider = "",
    token = "",
    owner = "",
    lentFor = "",
    renewing: Promise<string> | null = null;
  const answers = new Set<(of: unknown, token: string) => void>();

  // A token is given for the conversation that both tabs have, and for that one alone; it is stored nowhere.
  const others = openChannel(
    deps.platform,
    `baton:user:${api.base}`,
    ({ kind, of, token: offered }) => {
      const { session, disposed } = store.state;
      if (disposed) return others.close();
      if (kind === "want" && token && session && of === hash53(api.base + session))
        others.post({ kind: "have", of, token });
      if (kind === "have" && typeof offered === "string")
        for (const answer of answers) answer(of, offered);
    },
  );

  api.intercept((way) =>
    withUserToken(
      way,
      (authorization) => (!lentFor || authorization === `Bearer ${lentFor}` ? token : ""),
      renew,
    ),
  );

  async function requestToken(): Promise<string> {
    let late: ReturnType<typeof setTimeout> | undefined;
    try {
      const given: unknown = await Promise.race([
        typeof provider === "function" ? provider() : provider,
        new Promise<string>((go) => {
          late = setTimeout(go, TOKEN_TIMEOUT, "");
        }),
      ]);
      return typeof given === "string" ? given : "";
    } catch (error) {
      console.warn("Baton:", error);
      return "";
    } finally {
      clearTimeout(late);
    }
  }

  /** Another token in place of one that is not accepted any more; empty where there is none: the user is signed out. */
  function renew(old: string): Promise<string> {
    if (token !== old) return Promise.resolve(token);
    return (renewing ??= (async () => {
      const next = lentFor
        ? await askOtherTabs(lentFor)
        : typeof provider === "function"
          ? await requestToken()
          : "";
      renewing = null;
      if (token !== old) return token;
      token = next !== old && userFingerprint(api.base, next) === owner ? next : "";
      if (!token) setUser("");
      return token;
    })());
  }

  function setUser(user: string): void {
    owner = user;
    lentFor = "";
    store.dispatch({ type: "user", value: user });
  }

  async function signIn(next: TokenProvider, restart: () => void): Promise<void> {
    provider = next;
    const given = await requestToken(),
      user = userFingerprint(api.base, given);
    if (provider !== next || store.state.disposed) return;
    if (!user) return void console.warn("Baton: identify() was given no token");
    const before = store.state.user || storage.user;
    if (before && before !== user) return restart();
    token = given;
    const isNew = !store.state.user;
    setUser(user);
    if (isNew && store.state.started) await onSignInDuringChat();
  }

  /** The token that another tab has for this conversation; empty where none answers. */
  function askOtherTabs(session: string): Promise<string> {
    const of = hash53(api.base + session);
    return new Promise((resolve) => {
      const settle = (about: unknown, offered: string) => {
        if (about !== of) return;
        clearTimeout(late);
        answers.delete(settle);
        resolve(offered);
      };
      const late = setTimeout(settle, OTHER_TAB_TIMEOUT, of, "");
      answers.add(settle);
      others.post({ kind: "want", of });
    });
  }

  async function requestTokenFromOtherTab({ id, user }: StoredSession): Promise<boolean> {
    // This page speaks for the user that it named itself, and for nobody else.
    if (provider) return false;
    const offered = await askOtherTabs(id);
    if (provider || !user || !offered || userFingerprint(api.base, offered) !== user) return false;
    token = offered;
    owner = user;
    lentFor = id;
    return true;
  }

  return { signIn, requestTokenFromOtherTab, restore };
}

/** Sends the token with the requests it is for; one that is not accepted any more is replaced once. */
function withUserToken(
  way: Fetch,
  tokenFor: (authorization?: string) => string,
  renew: (old: string) => Promise<string>,
): Fetch {
  return async (url, init) => {
    const headers = init?.headers as Record<string, string> | undefined;
    const send = (token: string) =>
      way(url, token ? { ...init, headers: { ...headers, "Baton-User": token } } : init);
    const token = tokenFor(headers?.Authorization);
    const response = await send(token);
    if (!token || response.status !== 403) return response;
    const problem = (await response
      .clone()
      .json()
      .catch(() => null)) as { code?: string } | null;
    const next = problem?.code === "bad_token" ? await renew(token) : "";
    return next ? send(next) : response;
  };
}

/** A fingerprint of the user that the token names; empty for what is no token. The service alone verifies tokens. */
function userFingerprint(base: string, token: string): string {
  try {
    const bytes = Uint8Array.from(
      atob(token.split(".")[1]!.replace(/-/g, "+").replace(/_/g, "/")),
      (one) => one.charCodeAt(0),
    );
    const { sub } = JSON.parse(new TextDecoder().decode(bytes)) as { sub?: unknown };
    return typeof sub === "string" && sub ? hash53(`${base} ${sub}`) : "";
  } catch {
    return "";
  }
}

/** How the conversation in the page, or the one that the browser remembers, becomes the user's. */
function createClaimFlow({ api, store, storage, sessions, page, options, platform }: IdentityDeps) {
  const { dispatch } = store;
  const post = (path: string, session?: string) =>
    api.json<Resumed>(path, {
      method: "POST",
      session,
      body: { key: sessions.userKey(), client_id: session ? undefined : randomId() },
    });
  const claim = (id: string) => call(() => post("api/session/me/claim", id));

  /** Calls until there is an answer; throws an error that waiting does not mend, or that an answer is running. */
  async function call<T>(work: () => Promise<T>): Promise<T> {
    for (let tries = 0; ; tries++) {
      try {
        return await work();
      } catch (cause) {
        const error = cause as ApiError;
        if (!error.retryable || error.code === "turn_in_progress" || store.state.disposed)
          throw error;
        dispatch({ type: "feedDown", value: true });
        await page.sleepUntilWake(
          Math.max(
            error.retryAfter * 1000,
            Math.min(15_000, 500 * 2 ** tries) * (0.5 + Math.random() / 2),
          ),
        );
      }
    }
  }

  async function restore(record: StoredSession | null): Promise<void> {
    if (!options.autoRestore) return;
    if (record?.user === store.state.user && !sessions.userKey())
      return sessions.resume(record.id, randomId(), "restored", record);
    // Where this tab was the user's before, an anonymous conversation was not begun before signing in: it is another tab's.
    if (!record || record.user || storage.user === store.state.user || !sessions.isRecent(record))
      return restoreLast();
    // Events of the old id no longer count, in any tab.
    const tabs = openChannel(platform, `baton:${hash53(api.base + record.id)}`, () => {});
    tabs.post({ kind: "moved" });
    tabs.close();
    try {
      show(await claim(record.id), "restored", record.id);
    } catch (error) {
      await restoreUnclaimed(record, error as ApiError);
    }
  }

  /** What to show where the remembered conversation could not become the user's. */
  async function restoreUnclaimed(record: StoredSession, error: ApiError): Promise<void> {
    if (error.isGone) {
      storage.forget(record.id);
      return restoreLast();
    }
    if (error.code === "not_owner") return storage.forget(record.id);
    await sessions.resume(record.id, randomId(), "restored", record);
    if (error.code === "turn_in_progress") void claimWhenIdle();
  }

  /**
   * The user's conversation of this name, or their last one, from any device; none where each tab or page is to have its
   * own. Nothing is created: a conversation begins with its first question.
   */
  async function restoreLast(): Promise<void> {
    if (!store.state.session) storage.user = store.state.user;
    if (options.sessionScope !== "browser") return;
    try {
      const resumed: Resumed | null = await call(() => post("api/session/resume"));
      if (resumed && !store.state.session) show(resumed, "restored");
    } catch (error) {
      if (store.state.feedDown) dispatch({ type: "feedDown", value: false });
      if (!(error as ApiError).status) throw error;
    }
  }

  async function onSignInDuringChat(): Promise<void> {
    await when(store, () => !store.state.loading);
    if (!store.state.session) await restoreLast();
    if (isUnclaimed()) void claimWhenIdle();
  }

  const isUnclaimed = () => {
    const { session, sessionKey, saved, user } = store.state;
    return session && !sessionKey && !isClosed(store.state) && !saved?.user && user;
  };

  /** What was begun before signing in becomes the user's as soon as no answer is being written in it. */
  async function claimWhenIdle(): Promise<void> {
    for (let tries = 0; tries < 20 && !store.state.disposed; tries++) {
      await when(store, () => !isBusy(store.state) && !store.state.outbox.length);
      const { session, saved } = store.state;
      if (!session || !isUnclaimed()) return;
      let done = () => {};
      void sessions.hold(
        new Promise<void>((go) => {
          done = go;
        }),
      );
      dispatch({ type: "claiming" });
      sessions.feed?.broadcast("moved");
      sessions.closeFeed();
      try {
        const resumed = await claim(session);
        // "Gone" was reported meanwhile by a tab that claimed it later than this one: it is this user's.
        if (store.state.session === session || store.state.status === "gone")
          await replaceSessionId(resumed, session);
        return;
      } catch (error) {
        if (!(await mayClaimAgain(error as ApiError, session, saved))) return;
      } finally {
        done();
      }
    }
  }

  /** After a claim that failed: shows the conversation as it was; whether to try again, once an answer will be done. */
  async function mayClaimAgain(
    error: ApiError,
    session: string,
    saved: StoredSession | null,
  ): Promise<boolean> {
    if (store.state.session !== session) return false;
    // Another tab was faster, for somebody else.
    if (error.isGone || error.code === "not_owner") {
      sessions.onSessionLost("gone");
      return false;
    }
    sessions.adopt(session, saved ?? {});
    const history = sessions.loadHistory();
    if (error.code !== "turn_in_progress") return false;
    await history;
    await page.sleepUntilWake(Math.max(1, error.retryAfter) * 1000);
    return true;
  }

  /** The same messages under the new id: none of them is new. */
  async function replaceSessionId(resumed: Resumed, from: string): Promise<void> {
    dispatch({ type: "loading", value: true });
    dispatch({ type: "claimed" });
    show(resumed, null, from);
    await page.sleepUntilWake(50);
    dispatch({ type: "loading", value: false });
  }

  /** `from`: the conversation that was claimed, so that the tabs that show it know this one as the same. */
  const show = (resumed: Resumed, notice: "restored" | null, from?: string) =>
    sessions.open(
      resumed,
      { user: store.state.user, from: from && hash53(api.base + from) },
      notice,
    );

  return { restore, onSignInDuringChat };
}
