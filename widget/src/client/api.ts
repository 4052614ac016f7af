/** The client of the service: bearer credentials, never in an address; time limits; errors as the contract names them. */
import type { Message, Status } from "../types";

export type Fetch = (url: string, init?: RequestInit) => Promise<Response>;

/** What went wrong, in the contract's words; `code` is "network" where no answer came. */
export class ApiError extends Error {
  constructor(
    readonly code: string,
    readonly status: number,
    message: string,
    readonly retryable = false,
    /** Seconds to wait; 0 where the service did not say. */
    readonly retryAfter = 0,
    /** Which limit was reached: `session`, `address` or `create`. */
    readonly limit = "",
  ) {
    super(message);
  }
  /** The service itself says so; a 404 of what lies between (an edge without an instance) says nothing of the session. */
  get isGone(): boolean {
    return this.code === "session_not_found";
  }
  get isForbidden(): boolean {
    return this.code === "not_owner" || this.code === "bad_token";
  }
  /** This browser may not use the session, or it is no more. */
  get isDenied(): boolean {
    return this.isGone || this.isForbidden;
  }
  get isNetwork(): boolean {
    return this.status === 0;
  }
}

export interface History {
  status: Status;
  messages: Message[];
  has_more: boolean;
  cursor: string;
  /** Who answers, where people do; with `assigned_to` and `queue_position`. */
  handler?: string;
}
export interface Resumed extends History {
  session_id: string;
  /** It was a link made for sharing. */
  shared?: boolean;
  /** The owner's user token, where the owner made the link. */
  user_token?: string;
}

interface Call {
  method?: string;
  body?: unknown;
  session?: string;
  accept?: string;
  timeout?: number;
  signal?: AbortSignal;
  after?: string;
}

const SECONDS = 1000;

export type Api = ReturnType<typeof createApi>;

/** `base` is the service's address with a slash at its end. */
export function createApi(base: string, fetchIt: Fetch = (url, init) => fetch(url, init)) {
  let userToken: string | undefined,
    reached = false,
    refused = false;

  /** Whether the service is there, but answers no call of this page's origin. The browser does not say so by itself. */
  async function isOriginRefused(): Promise<boolean> {
    if (reached || refused) return refused;
    const answers = (mode: RequestMode): Promise<boolean> =>
      fetchIt(`${base}api/site`, {
        mode,
        credentials: "omit",
        signal: AbortSignal.timeout(5 * SECONDS),
      }).then(
        () => true,
        () => false,
      );
    refused = (await answers("no-cors")) && !(await answers("cors")) && !reached;
    if (refused)
      console.error(
        `Baton: ${location.origin} may not use ${base}: add it to BATON_ALLOWED_ORIGINS of the service.`,
      );
    return refused;
  }

  /** Why there was no answer. */
  async function unanswered(signal?: AbortSignal): Promise<ApiError> {
    if (signal?.aborted) return new ApiError("aborted", 0, "Given up", true);
    return (await isOriginRefused())
      ? new ApiError("origin_not_allowed", 403, "This site may not use the service")
      : new ApiError("network", 0, "The service did not answer", true);
  }

  function headersFor(accept: string, session?: string, after?: string, body?: unknown) {
    const headers: Record<string, string> = { Accept: accept };
    if (session) headers.Authorization = `Bearer ${session}`;
    if (!__WIDGET__ && userToken) headers["Baton-User"] = userToken;
    // A header and no query parameter: the browser would send another preflight for each new address.
    if (after) headers["Last-Event-ID"] = after;
    if (body !== undefined) headers["Content-Type"] = "application/json";
    return headers;
  }

  /** Resolves once the headers are there; rejects with an ApiError for everything but a success. */
  async function request(
    path: string,
    {
      method = "GET",
      body,
      session,
      accept = "application/json",
      timeout = 15,
      signal,
      after,
    }: Call = {},
  ): Promise<Response> {
    const stop = new AbortController();
    const timer = setTimeout(() => stop.abort(), timeout * SECONDS);
    const forward = () => stop.abort();
    signal?.addEventListener("abort", forward);
    if (signal?.aborted) stop.abort();
    try {
      const response = await fetchIt(base + path, {
        method,
        headers: headersFor(accept, session, after, body),
        signal: stop.signal,
        body: body === undefined ? undefined : JSON.stringify(body),
        // No cookie, no address of the host page, no stored copy; a redirect would carry the secret elsewhere.
        mode: "cors",
        credentials: "omit",
        referrerPolicy: "no-referrer",
        cache: "no-store",
        redirect: "error",
      });
      reached = true;
      if (!response.ok) throw await problem(response);
      return response;
    } catch (error) {
      throw error instanceof ApiError ? error : await unanswered(signal);
    } finally {
      clearTimeout(timer);
      // The reader of a stream goes on holding its signal; the time limit was for the headers alone.
      if (accept !== "text/event-stream") signal?.removeEventListener("abort", forward);
    }
  }

  async function json<T>(path: string, call?: Call): Promise<T> {
    const response = await request(path, call);
    if (response.status === 204) return null as T;
    try {
      return await withTimeout(response.json() as Promise<T>, (call?.timeout ?? 15) * SECONDS);
    } catch {
      throw new ApiError("network", 0, "The answer broke off", true);
    }
  }

  const me = "api/session/me";
  return {
    base,
    json,
    request,
    /** Wraps the fetch function that every call uses. */
    intercept(around: (way: Fetch) => Fetch): void {
      fetchIt = around(fetchIt);
    },
    /** On the full page: the user token of the conversation's owner. */
    setUserToken(token?: string): void {
      userToken = token;
    },
    /**
     * With `key`, which wants a user's token: the user's conversation of that name, made where there is none.
     * `metadata` is for those who answer.
     */
    create: (key?: string, metadata?: object) =>
      json<{ session_id: string }>("api/session/create", {
        method: "POST",
        body: { key, metadata },
      }),
    status: (session: string) => json<{ status: Status }>(me, { session }),
    resume: (session: string, client_id: string) =>
      json<Resumed>("api/session/resume", { method: "POST", body: { session, client_id } }),
    history: (session: string, before?: string, limit = 100) =>
      json<History>(
        `${me}/messages?limit=${limit}${before ? `&before=${encodeURIComponent(before)}` : ""}`,
        { session },
      ),
    heartbeat: (session: string) =>
      json<{ status: Status }>(`${me}/heartbeat`, { method: "POST", session, timeout: 10 }),
    /** Resolves when the service has taken the question: the turn then runs whether or not anybody reads this stream of it. */
    ask: (session: string, query: string, client_id: string, signal?: AbortSignal) =>
      request("api/chat", {
        method: "POST",
        session,
        body: { query, client_id },
        accept: "text/event-stream",
        timeout: 20,
        signal,
      }),
    /** The feed's response, from after `cursor`. */
    events: (session: string, cursor: string, signal: AbortSignal) =>
      request(`${me}/events`, {
        session,
        accept: "text/event-stream",
        timeout: 20,
        signal,
        after: cursor,
      }),
  };
}

export async function problem(response: Response): Promise<ApiError> {
  let body: Record<string, unknown> = {};
  try {
    body =
      (await withTimeout(response.json() as Promise<Record<string, unknown>>, 5 * SECONDS)) ?? {};
  } catch {
    /* not ours, a proxy's page perhaps */
  }
  const { status } = response;
  const { retryable: given } = body;
  const ours =
    typeof body.code === "string" &&
    (body.success === false ||
      typeof given === "boolean" ||
      Boolean(response.headers.get("Content-Type")?.includes("problem+json")));
  // An error that is no problem of ours came from a proxy, and is temporary.
  const retryable = !ours || (typeof given === "boolean" ? given : status >= 500 || status === 429);
  return new ApiError(
    ours ? String(body.code) : `http_${status}`,
    status,
    typeof body.detail === "string" ? body.detail : `The service answered ${status}`,
    retryable,
    seconds(response.headers.get("Retry-After") ?? body.retry_after),
    typeof body.limit === "string" ? body.limit : "",
  );
}

/** Whole seconds of a Retry-After, which may also be a date. */
function seconds(value: unknown): number {
  if (value === null || value === undefined || value === "") return 0;
  const number = Number(value);
  const found = Number.isFinite(number)
    ? number
    : (Date.parse(String(value)) - Date.now()) / SECONDS;
  return Number.isFinite(found) ? Math.max(0, Math.ceil(found)) : 0;
}

/** The result of `work`, unless it takes too long or the signal aborts. */
export function withTimeout<T>(work: Promise<T>, ms: number, signal?: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    const late = () => reject(new ApiError("network", 0, "The service did not answer in time"));
    const timer = setTimeout(late, ms);
    signal?.addEventListener("abort", late);
    if (signal?.aborted) late();
    work.then(resolve, reject).finally(() => {
      clearTimeout(timer);
      signal?.removeEventListener("abort", late);
    });
  });
}
