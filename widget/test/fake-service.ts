/** The service of the contract, in memory and behind `fetch`, for tests of the widget's logic: its faults are at one's call. */

type Json = Record<string, any>;
interface Entry {
  id: string;
  event: string;
  data: Json;
}
interface Session {
  id: string;
  messages: Json[];
  log: Entry[];
  status: string;
  turn: Json | null;
  asked: Map<string, string>;
  open: Set<() => void>;
  owner?: string;
  /** What the service tells of people; nothing where the desk is off. */
  people?: Json;
}

export class FakeService {
  sessions = new Map<string, Session>();
  tickets = new Map<string, { id: string; kind: string; usedBy?: string }>();
  calls: {
    method: string;
    path: string;
    session: string;
    body: Json;
    accept: string;
    url: string;
  }[] = [];
  /** Refuses every call like a host that is not there. */
  down = false;
  /** Answers the next calls whose "METHOD path" begins so with this problem. */
  refusals: {
    call: string;
    status: number;
    code: string;
    retryAfter?: number;
    retryable?: boolean;
  }[] = [];
  /** Carries out the next calls that begin so, and loses the reply. */
  lost: string[] = [];
  /** Feeds open, but a proxy holds every byte back. */
  mute = false;
  feeds = 0;
  /** The next feed gets `reset`: its position is gone. */
  forgetPositions = false;
  /** Whether the desk is on, and somebody is there. */
  people: "off" | "away" | "online" = "off";
  /** Tokens that are not taken any more. */
  expired = new Set<string>();
  private moved = new Map<string, string>();
  private last = new Map<string, string>();
  private n = 0;

  count(call: string): number {
    return this.calls.filter((one) => `${one.method} ${one.path}`.startsWith(call)).length;
  }

  fetch = async (url: string, init: RequestInit = {}): Promise<Response> => {
    await Promise.resolve();
    const { pathname, searchParams } = new URL(url);
    const headers = new Headers(init.headers);
    const method = init.method ?? "GET";
    const session = (headers.get("Authorization") ?? "").replace("Bearer ", "");
    const body = init.body ? (JSON.parse(String(init.body)) as Json) : {};
    this.calls.push({
      method,
      path: pathname,
      session,
      body,
      accept: headers.get("Accept") ?? "",
      url,
    });
    if (this.down) throw new TypeError("Failed to fetch");
    if (init.signal?.aborted) throw new DOMException("aborted", "AbortError");
    const name = `${method} ${pathname}`;
    const refusal = this.refusals.findIndex((one) => name.startsWith(one.call));
    if (refusal >= 0) {
      const [{ status, code, retryAfter, retryable }] = this.refusals.splice(refusal, 1) as [
        FakeService["refusals"][number],
      ];
      return problem(status, code, retryAfter, retryable);
    }
    const response = this.route(
      method,
      pathname,
      searchParams,
      session,
      body,
      init.signal ?? null,
      headers,
    );
    const lost = this.lost.findIndex((one) => name.startsWith(one));
    if (lost >= 0) {
      this.lost.splice(lost, 1);
      throw new TypeError("Failed to fetch");
    }
    return response;
  };

  private route(
    method: string,
    path: string,
    query: URLSearchParams,
    bearer: string,
    body: Json,
    signal: AbortSignal | null,
    headers: Headers,
  ): Response {
    const proof = headers.get("Baton-User") ?? "",
      user = proof && userOf(proof);
    if (this.expired.has(proof)) return problem(403, "bad_token");
    if (path === "/api/session/create") {
      const made = this.create();
      if (user) this.give(made, user);
      return json({ success: true, session_id: made.id, status: "active" }, 201);
    }
    if (path === "/api/session/resume")
      return this.resume({ session: this.last.get(user), ...body }, user, proof);
    if (path === "/api/session/me/claim" && this.moved.has(bearer))
      return this.resume({ session: this.moved.get(bearer) }, user);
    const session = this.sessions.get(bearer);
    if (!session) return problem(404, "session_not_found");
    if (session.owner && session.owner !== user) return problem(403, "not_owner");
    if (path === "/api/session/me/claim") return this.claim(session, user);
    if (path === "/api/chat") return this.chat(session, body, signal);
    const call = `${method} ${path.replace("/api/session/me", "")}`;
    switch (call) {
      case "GET ":
        return json({ success: true, session_id: session.id, status: session.status });
      case "GET /messages":
        return this.history(session, query);
      case "GET /events":
        return this.events(session, headers.get("Last-Event-ID"), signal);
      case "POST /heartbeat":
        return session.status === "ended"
          ? problem(409, "session_ended")
          : json({ success: true, status: session.status });
      case "POST /stop": {
        const stopped = Boolean(session.turn);
        if (stopped) this.finish(session, { stopped: true });
        return json({ success: true, stopped });
      }
      case "POST /end":
        this.setStatus(session, "ended");
        return json({ success: true, status: "ended" });
      case "POST /human":
        if (this.people === "off") return problem(404, "not_found");
        if (this.people === "online" && session.people!.handler === "bot")
          this.setHandler(session, { handler: "queue", queue_position: 2, reason: "requested" });
        return json({ success: true, ...session.people, people: this.people });
      case "POST /typing":
        return json({ success: true });
      case "POST /messages":
        if (!session.messages.some((one) => one.client_id === body.client_id))
          this.append(session, {
            role: "user",
            content: body.message,
            client_id: body.client_id,
          });
        return json({ success: true }, 201);
      case "POST /handoff":
        return session.status === "ended"
          ? problem(409, "session_ended")
          : this.handoff(session, body.kind ?? "once");
      case "DELETE ":
        this.sessions.delete(session.id);
        this.cutFeeds(session);
        return new Response(null, { status: 204 });
    }
    return problem(404, "not_found");
  }

  create(): Session {
    const id = `ses_${String(++this.n).padStart(32, "0")}`;
    const session: Session = {
      id,
      messages: [],
      log: [],
      status: "active",
      turn: null,
      asked: new Map(),
      open: new Set(),
      people: this.people === "off" ? undefined : { handler: "bot", assigned_to: null },
    };
    this.sessions.set(id, session);
    return session;
  }

  private give(session: Session, user: string): void {
    session.owner = user;
    this.last.set(user, session.id);
  }

  private claim(session: Session, user: string): Response {
    if (session.turn) return problem(409, "turn_in_progress", 1);
    const { id } = session,
      next = this.create();
    this.sessions.delete(id);
    this.cutFeeds(session);
    const messages = session.messages.map((one) => ({ ...one, id: `${one.id}_moved` }));
    Object.assign(next, { messages, asked: session.asked });
    this.give(next, user);
    this.moved.set(id, next.id);
    return this.resume({ session: next.id }, user);
  }

  handoff(session: Session, kind: string): Response {
    const ticket = `tkt_${++this.n}`;
    this.tickets.set(ticket, { id: session.id, kind });
    return json({
      success: true,
      ticket,
      url: `https://svc.test/chat?session=${ticket}`,
      expires_in: 300,
    });
  }

  private resume({ session: what, client_id }: Json, user = "", proof = ""): Response {
    const ticket = this.tickets.get(what);
    if (ticket?.usedBy && ticket.usedBy !== client_id) return problem(404, "session_not_found");
    if (ticket?.kind === "once") ticket.usedBy = client_id;
    const session = this.sessions.get(ticket?.id ?? what);
    if (!session) return problem(404, "session_not_found");
    if (session.owner && session.owner !== user) {
      if (ticket?.kind !== "once") return problem(403, "not_owner");
      proof = tokenOf(session.owner);
    }
    return json({
      ...(session.owner && ticket ? { user_token: proof } : {}),
      ...this.page(session),
      session_id: session.id,
      ...(ticket?.kind === "share" ? { shared: true } : {}),
    });
  }

  private page(session: Session, before?: string | null, limit = 100): Json {
    const end = before
      ? session.messages.findIndex((one) => one.id === before)
      : session.messages.length;
    const start = Math.max(0, end - limit);
    const turnStart = session.turn
      ? session.log.findIndex(
          (one) => one.event === "answer.start" && one.data.turn_id === session.turn!.id,
        )
      : session.log.length;
    return {
      success: true,
      status: session.status,
      messages: session.messages.slice(start, end),
      has_more: start > 0,
      ...session.people,
      cursor: `c${turnStart}`,
    };
  }

  private history(session: Session, query: URLSearchParams): Response {
    return json(this.page(session, query.get("before"), Number(query.get("limit") ?? 100)));
  }

  private chat(session: Session, { query, client_id }: Json, signal: AbortSignal | null): Response {
    if (session.status === "ended") return problem(409, "session_ended");
    if (session.turn && session.turn.client_id !== client_id)
      return problem(409, "turn_in_progress");
    if (session.people && session.people.handler !== "bot" && !session.asked.has(client_id)) {
      const at = session.log.length;
      this.append(session, { role: "user", content: query, client_id });
      session.asked.set(client_id, "people");
      return this.events(session, `c${at}`, signal, false, [["handler", session.people]]);
    }
    if (!session.asked.has(client_id)) {
      this.append(session, { role: "user", content: query, client_id });
      session.asked.set(client_id, "running");
      this.begin(session, client_id);
    } else if (session.asked.get(client_id) === "failed") {
      session.asked.set(client_id, "running");
      this.begin(session, client_id);
    }
    const turn = session.log.findLastIndex((one) => one.event === "answer.start");
    return this.events(session, `c${turn < 0 ? session.log.length : turn}`, signal, false);
  }

  // --- what the service does by itself ---

  setHandler(session: Session, people: Json): void {
    session.people = { assigned_to: null, ...people };
    this.emit(session, "handler", session.people);
  }
  /** A person takes the conversation: a running answer ends with its words so far. */
  take(session: Session, name: string): void {
    if (session.turn?.text) this.finish(session, { interrupted: true });
    else if (session.turn) {
      const { id } = session.turn;
      session.turn = null;
      this.emit(session, "answer.end", { turn_id: id, message: null, citations: [] });
    }
    this.setHandler(session, { handler: "human", assigned_to: { name }, reason: "taken" });
  }
  say(session: Session, name: string, content: string): void {
    this.append(session, {
      role: "assistant",
      content,
      author: { type: "operator", name },
      tell: true,
    });
  }
  /** Told to whoever listens now, without an id. */
  tellTyping(session: Session, name: string): void {
    session.log.push({ id: "", event: "typing", data: { who: "operator", name } });
    this.ring(session);
  }

  append(session: Session, fields: Json): Json {
    const message: Json = {
      id: `msg_${++this.n}`,
      metadata: {},
      created_at: new Date().toISOString(),
      ...fields,
    };
    session.messages.push(message);
    if (message.role === "user" || fields.tell) this.emit(session, "message", message);
    return message;
  }
  begin(session: Session, client_id: string): void {
    session.turn = { id: `turn_${++this.n}`, text: "", client_id };
    this.emit(session, "answer.start", { turn_id: session.turn.id });
  }
  delta(session: Session, text: string): void {
    session.turn!.text += text;
    this.emit(session, "answer.delta", { turn_id: session.turn!.id, text });
  }
  finish(session: Session, metadata: Json = {}): void {
    const { id, text, client_id } = session.turn!;
    session.turn = null;
    session.asked.set(client_id, "done");
    const message = this.append(session, { role: "assistant", content: text, metadata });
    this.emit(session, "answer.end", { turn_id: id, message, citations: [] });
  }
  fail(session: Session, code = "engine_failed", more: Json = {}): void {
    const { id, text, client_id } = session.turn!;
    session.turn = null;
    session.asked.set(client_id, "failed");
    const message = text
      ? this.append(session, { role: "assistant", content: text, metadata: { interrupted: true } })
      : undefined;
    this.emit(session, "answer.error", { turn_id: id, code, detail: "It broke", message, ...more });
  }
  setStatus(session: Session, status: string): void {
    session.status = status;
    this.emit(session, "session", { status });
  }
  cutFeeds(session: Session): void {
    const all = [...session.open];
    session.open.clear();
    for (const cut of all) cut();
  }
  private emit(session: Session, event: string, data: Json): void {
    session.log.push({ id: `e${session.log.length + 1}`, event, data });
    this.ring(session);
  }
  private ring(session: Session): void {
    for (const hear of this.ears.get(session.id) ?? []) hear();
  }
  private ears = new Map<string, Set<() => void>>();

  private events(
    session: Session,
    after: string | null,
    signal: AbortSignal | null,
    counted = true,
    last: [string, Json][] = [],
  ): Response {
    let at = after ? Number(after.slice(1)) : session.log.length,
      lost = false;
    if (counted && this.forgetPositions) {
      this.forgetPositions = false;
      lost = true;
    }
    if (after && (!/^[ce]\d+$/.test(after) || at > session.log.length)) lost = true;
    const ears = this.ears.get(session.id) ?? new Set();
    this.ears.set(session.id, ears);
    if (counted) this.feeds++;
    const text = new TextEncoder();
    let over = false,
      hear = () => {},
      cut = () => {};
    const body = new ReadableStream<Uint8Array>({
      start: (out) => {
        if (lost) {
          out.enqueue(text.encode("event: reset\ndata: {}\n\n"));
          at = session.log.length;
        } else if (!this.mute) out.enqueue(text.encode(": hello\n\n"));
        hear = () => {
          if (this.mute || over) return;
          for (; at < session.log.length; at++) {
            const { id, event, data } = session.log[at]!;
            out.enqueue(
              text.encode(
                `${id && `id: ${id}\n`}event: ${event}\ndata: ${JSON.stringify(data)}\n\n`,
              ),
            );
          }
          for (const [event, data] of last)
            out.enqueue(text.encode(`event: ${event}\ndata: ${JSON.stringify(data)}\n\n`));
          if (last.length) cut();
        };
        cut = () => {
          if (over) return;
          over = true;
          if (counted) this.feeds--;
          ears.delete(hear);
          session.open.delete(cut);
          try {
            out.close();
          } catch {
            /* gone */
          }
        };
        ears.add(hear);
        session.open.add(cut);
        hear();
        signal?.addEventListener("abort", () => cut());
      },
      cancel: () => cut(),
    });
    return new Response(body, { headers: { "Content-Type": "text/event-stream" } });
  }
}

/** A token as a site signs it, but for its signature. */
export const tokenOf = (user: string, mark = "") =>
  `e30.${btoa(JSON.stringify({ sub: user }))}.${mark}`;
const userOf = (token: string): string => JSON.parse(atob(token.split(".")[1]!)).sub;

const json = (body: Json, status = 200) =>
  new Response(JSON.stringify(body), { status, headers: { "Content-Type": "application/json" } });
const problem = (
  status: number,
  code: string,
  retryAfter?: number,
  retryable = status >= 500 || status === 429 || code === "turn_in_progress",
) =>
  new Response(
    JSON.stringify({
      success: false,
      status,
      code,
      title: code,
      detail: `Refused: ${code}`,
      retryable,
    }),
    {
      status,
      headers: {
        "Content-Type": "application/problem+json",
        ...(retryAfter ? { "Retry-After": String(retryAfter) } : {}),
      },
    },
  );
