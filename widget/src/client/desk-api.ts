/** The client of the desk's API: the login is a cookie of this page's own origin. */
import { ApiError, problem, type Fetch } from "./api";
import {
  decodeDays,
  decodeDeskMessage,
  decodeHandlerKind,
  decodeListing,
  decodeMe,
  decodePerson,
  decodeQuestions,
  decodeReplies,
  decodeRow,
  decodeTeam,
} from "./desk-decode";
import { decodeStatus } from "./decode";
import type { Day } from "../state/desk-analytics";
import type {
  Handler,
  Listing,
  Person,
  Reply,
  Role,
  Row,
  Teammate,
  ViewName,
} from "../state/desk-types";
import type { Message, Status } from "../types";

/** An error of the desk. `holder`: who has the conversation, where it is taken already. */
export class DeskError extends ApiError {
  constructor(
    cause: ApiError,
    readonly holder = "",
  ) {
    super(cause.code, cause.status, cause.message, cause.retryable, cause.retryAfter, cause.limit);
  }
  /** The same call will not work again: the conversation is gone, or this operator may not look at it. */
  override get isGone(): boolean {
    return ["not_found", "session_not_found", "not_allowed", "login_required"].includes(this.code);
  }
  get needsLogin(): boolean {
    return this.code === "login_required";
  }
}

export interface DeskHistory {
  status: Status;
  messages: Message[];
  has_more: boolean;
  cursor: string;
  handler: Handler;
  assigned_to: Person | null;
}

interface Call {
  method?: "GET" | "POST" | "PUT" | "DELETE";
  body?: unknown;
  accept?: string;
  after?: string;
  signal?: AbortSignal;
  timeout?: number;
}

export interface ListQuery {
  view?: ViewName;
  q?: string;
  user?: string;
  cursor?: string;
  limit?: number;
}

export type DeskApi = ReturnType<typeof createDeskApi>;

const SECONDS = 1000;
const PAGE = 50;
const STREAM = "text/event-stream";

/** `base` is the service's address with a slash at its end. */
export function createDeskApi(base: string, fetchIt: Fetch = (url, init) => fetch(url, init)) {
  async function request(path: string, call: Call = {}): Promise<Response> {
    const { signal } = call;
    const stop = new AbortController();
    const timer = setTimeout(() => stop.abort(), (call.timeout ?? 15) * SECONDS);
    // The reader of a stream goes on holding its signal; the time limit is for the headers alone.
    signal?.addEventListener("abort", () => stop.abort());
    if (signal?.aborted) stop.abort();
    try {
      const response = await fetchIt(`${base}api/desk/${path}`, {
        ...requestInit(call),
        signal: stop.signal,
      });
      if (!response.ok) throw await deskProblem(response);
      return response;
    } catch (error) {
      if (error instanceof DeskError) throw error;
      throw new DeskError(new ApiError("network", 0, "The service did not answer", true));
    } finally {
      clearTimeout(timer);
    }
  }

  async function json(path: string, call?: Call): Promise<Record<string, unknown>> {
    const response = await request(path, call);
    if (response.status === 204) return {};
    try {
      return (await response.json()) as Record<string, unknown>;
    } catch {
      throw new DeskError(new ApiError("network", 0, "The answer broke off", true));
    }
  }

  const of = (ref: string, rest = "") => `conversations/${encodeURIComponent(ref)}${rest}`;
  const post = (path: string, body?: unknown) => json(path, { method: "POST", body });
  const events = (path: string, after: string, signal: AbortSignal) =>
    request(path, { accept: STREAM, after, signal, timeout: 20 });

  return {
    /** Who is logged in; null where nobody is. */
    me: async () => decodeMe(await json("me")),
    setAvailable: async (available: boolean) => decodeMe(await post("me", { available })),
    login: (invite: string) => post("login", { invite }),
    logout: () => post("logout"),
    list: async ({ limit = PAGE, ...given }: ListQuery): Promise<Listing> => {
      const query = new URLSearchParams({ limit: String(limit) });
      for (const [name, value] of Object.entries(given)) if (value) query.set(name, value);
      return decodeListing(await json(`conversations?${query}`));
    },
    conversation: async (ref: string): Promise<Row | null> => decodeRow(await json(of(ref))),
    history: async (ref: string, before?: string): Promise<DeskHistory> => {
      const query = new URLSearchParams({ limit: "100", ...(before ? { before } : {}) });
      const found = await json(of(ref, `/messages?${query}`));
      const { messages, has_more, cursor, status, handler, assigned_to } = found;
      return {
        status: decodeStatus(status),
        messages: (Array.isArray(messages) ? messages : []).flatMap(
          (one) => decodeDeskMessage(one) ?? [],
        ),
        has_more: has_more === true,
        cursor: typeof cursor === "string" ? cursor : "",
        handler: decodeHandlerKind(handler),
        assigned_to: decodePerson(assigned_to),
      };
    },
    take: (ref: string, force = false) => post(of(ref, "/take"), force ? { force } : {}),
    /** `to`: `bot`, `queue` or an operator's id. */
    release: (ref: string, to: string) => post(of(ref, "/release"), { to }),
    send: async (ref: string, message: string, client_id: string): Promise<Message | null> =>
      decodeDeskMessage((await post(of(ref, "/messages"), { message, client_id })).message),
    addNote: async (ref: string, message: string): Promise<Message | null> =>
      decodeDeskMessage((await post(of(ref, "/notes"), { message })).message),
    end: (ref: string) => post(of(ref, "/end")),
    typing: (ref: string) => post(of(ref, "/typing")),
    read: (ref: string) => post(of(ref, "/read")),
    erase: (ref: string) => json(of(ref), { method: "DELETE" }),
    transcriptUrl: (ref: string) => `${base}api/desk/${of(ref, "/transcript?format=txt")}`,
    team: async (): Promise<Teammate[]> => decodeTeam((await json("operators")).operators),
    /** A login link, good once. */
    invite: async (name: string, role: Role): Promise<string> =>
      String((await post("operators", { name, role })).url ?? ""),
    inviteAgain: async (id: string): Promise<string> =>
      String((await post("operators", { id })).url ?? ""),
    removeOperator: async (id: string): Promise<void> => {
      await json(`operators/${encodeURIComponent(id)}`, { method: "DELETE" });
    },
    saveReplies: (replies: readonly Reply[]) =>
      json("replies", { method: "PUT", body: { replies } }),
    replies: async (): Promise<Reply[]> => decodeReplies(await json("replies")),
    /** The daily counts from a day such as 2026-01-31 until today. */
    analytics: async (from: string): Promise<Day[]> =>
      decodeDays((await json(`analytics?from=${from}`)).days),
    analyticsUrl: (from: string) => `${base}api/desk/analytics?from=${from}&format=csv`,
    questions: async () => decodeQuestions(await json("questions")),
    /** One group of questions, or all of them. */
    eraseQuestions: (id?: string) =>
      json(id ? `questions/${encodeURIComponent(id)}` : "questions", { method: "DELETE" }),
    events: (after: string, signal: AbortSignal) => events("events", after, signal),
    conversationEvents: (ref: string, after: string, signal: AbortSignal) =>
      events(of(ref, "/events"), after, signal),
  };
}

function requestInit({ method = "GET", body, accept = "application/json", after }: Call) {
  const headers: Record<string, string> = { Accept: accept };
  // Writing calls want JSON, so that no form of another site can make one.
  if (method !== "GET") headers["Content-Type"] = "application/json";
  if (after) headers["Last-Event-ID"] = after;
  return {
    method,
    headers,
    body: method === "GET" ? undefined : JSON.stringify(body ?? {}),
    mode: "same-origin",
    credentials: "same-origin",
    cache: "no-store",
    redirect: "error",
  } satisfies RequestInit;
}

async function deskProblem(response: Response): Promise<DeskError> {
  const copy = response.clone();
  const error = await problem(response);
  if (error.code !== "already_taken") return new DeskError(error);
  const body = (await copy.json()) as Record<string, unknown>;
  return new DeskError(error, decodePerson(body.assigned_to)?.name);
}
