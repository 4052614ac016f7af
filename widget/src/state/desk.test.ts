import { describe, expect, it } from "vitest";
import { decodeConversationEvent, decodeDeskEvent, decodeRow } from "../client/desk-decode";
import {
  knownIds,
  lastRating,
  openConversation,
  reduceOpened,
  toListState,
} from "./desk-conversation";
import { belongs, otherMetadata, pageOf, sortRows, visitorName } from "./desk-list";
import { commandOf, keyOf } from "./desk-keys";
import { readPreferences, savePreferences } from "./desk-preferences";
import { attention, initialDesk, newsOf, reduceDesk, visibleRows } from "./desk-reducer";
import { invitationIn, parseRoute, routeTo } from "./desk-route";
import type { Me, Row } from "./desk-types";

const ME: Me = { id: "op_me", name: "Anna", role: "operator" };
const NOW = Date.parse("2026-01-31T12:00:00.000Z");
const ago = (seconds: number) => new Date(NOW - seconds * 1000).toISOString();

const row = (ref: string, given: Record<string, unknown> = {}): Row =>
  decodeRow({
    ref,
    handler: "bot",
    status: "active",
    created_at: ago(600),
    last_seen_at: ago(10),
    last_message: { role: "user", preview: "Hello", created_at: ago(60) },
    ...given,
  })!;
const waiting = (ref: string, seconds: number) =>
  row(ref, { handler: "queue", waiting_since: ago(seconds) });
const mine = (ref: string, given: Record<string, unknown> = {}) =>
  row(ref, { handler: "human", assigned_to: { id: ME.id, name: ME.name }, ...given });

const atDesk = () => reduceDesk(initialDesk, { type: "me", me: ME, available: true });
const listed = (rows: Row[], counts = {}) =>
  reduceDesk(atDesk(), {
    type: "listed",
    more: false,
    listing: {
      conversations: rows,
      counts: { queue: 0, mine: 0, open: 0, bot: 0, ended: 0, ...counts },
      cursor: null,
    },
  });

describe("the views", () => {
  it("put each conversation where its handler and status say", () => {
    const shown = (one: Row) =>
      (["queue", "mine", "open", "bot", "ended"] as const).filter((view) => belongs(one, view, ME));
    expect(shown(waiting("cnv_1", 5))).toEqual(["queue"]);
    expect(shown(mine("cnv_2"))).toEqual(["mine", "open"]);
    expect(shown(row("cnv_3", { handler: "human", assigned_to: { name: "Tom" } }))).toEqual([
      "open",
    ]);
    expect(shown(row("cnv_4", { status: "abandoned" }))).toEqual(["bot"]);
    expect(shown(mine("cnv_5", { status: "ended" }))).toEqual(["ended"]);
  });

  it("show in the queue first who waits longest, elsewhere who wrote last", () => {
    const refs = (rows: Row[]) => rows.map((one) => one.ref);
    expect(refs(sortRows([waiting("cnv_b", 5), waiting("cnv_a", 500)], "queue"))).toEqual([
      "cnv_a",
      "cnv_b",
    ]);
    const wrote = (ref: string, seconds: number) =>
      row(ref, { last_message: { role: "user", preview: "", created_at: ago(seconds) } });
    expect(refs(sortRows([wrote("cnv_old", 90), wrote("cnv_new", 3)], "bot"))).toEqual([
      "cnv_new",
      "cnv_old",
    ]);
  });
});

describe("the list", () => {
  it("follows the feed: comes, leaves, is deleted", () => {
    let state = listed([waiting("cnv_1", 60)]);
    state = reduceDesk(state, { type: "row", row: waiting("cnv_2", 5) });
    expect(visibleRows(state).map((one) => one.ref)).toEqual(["cnv_1", "cnv_2"]);
    state = reduceDesk(state, { type: "row", row: mine("cnv_1") });
    expect(visibleRows(state).map((one) => one.ref)).toEqual(["cnv_2"]);
    state = reduceDesk(state, { type: "removed", ref: "cnv_2" });
    expect(visibleRows(state)).toEqual([]);
  });

  it("keeps what the feed brought while it was read, which is newer", () => {
    let state = reduceDesk(atDesk(), { type: "listing" });
    state = reduceDesk(state, { type: "row", row: mine("cnv_1") });
    state = reduceDesk(state, { type: "row", row: waiting("cnv_2", 1) });
    state = reduceDesk(state, {
      type: "listed",
      more: false,
      listing: {
        conversations: [waiting("cnv_1", 60)],
        counts: state.counts,
        cursor: null,
      },
    });
    expect(visibleRows(state).map((one) => one.ref)).toEqual(["cnv_2"]);
  });

  it("leaves it to the service what a search finds", () => {
    let state = reduceDesk(listed([]), { type: "query", query: "refund" });
    state = reduceDesk(state, { type: "row", row: waiting("cnv_1", 1) });
    expect(visibleRows(state)).toEqual([]);
  });

  it("shows nothing any more once the login is over", () => {
    const state = reduceDesk(listed([waiting("cnv_1", 60)]), { type: "login", login: "expired" });
    expect([state.rows.size, state.me, state.login]).toEqual([0, null, "expired"]);
  });
});

describe("what wants attention", () => {
  it("counts all that wait and one's own with unread words", () => {
    let state = listed([mine("cnv_1", { unread: 2 }), mine("cnv_2")], { queue: 3 });
    state = reduceDesk(state, { type: "row", row: row("cnv_3", { unread: 5 }) });
    expect(attention(state)).toBe(4);
  });

  it("is news once: who comes into the queue, and what one's own visitor writes", () => {
    expect(newsOf(row("cnv_1"), waiting("cnv_1", 1), ME, NOW)).toBe("queue");
    expect(newsOf(waiting("cnv_1", 1), waiting("cnv_1", 1), ME, NOW)).toBeNull();
    expect(newsOf(undefined, waiting("cnv_1", 5), ME, NOW)).toBe("queue");
    expect(newsOf(undefined, waiting("cnv_1", 500), ME, NOW)).toBeNull();
    const later = mine("cnv_1", {
      last_message: { role: "user", preview: "And?", created_at: ago(1) },
    });
    expect(newsOf(mine("cnv_1"), later, ME, NOW)).toBe("message");
    expect(newsOf(later, later, ME, NOW)).toBeNull();
    expect(newsOf(row("cnv_1"), row("cnv_1", later as never), null, NOW)).toBeNull();
  });
});

describe("a row", () => {
  it("names the visitor by the site's word, else by their own", () => {
    expect(
      visitorName(row("cnv_1", { user: { id: "7", name: "Eva" }, contact: { name: "E" } })),
    ).toBe("Eva");
    expect(visitorName(row("cnv_1", { contact: { email: "eva@example.test" } }))).toBe(
      "eva@example.test",
    );
    expect(visitorName(row("cnv_1"))).toBe("");
  });

  it("shows the page, and the rest of the metadata as text", () => {
    const given = row("cnv_1", { metadata: { page: "https://shop.test/a", plan: "pro", n: 3 } });
    expect(pageOf(given)).toBe("https://shop.test/a");
    expect(otherMetadata(given)).toEqual([
      ["plan", "pro"],
      ["n", "3"],
    ]);
    expect(pageOf(row("cnv_1"))).toBe("");
  });

  it("is refused without a ref, and taken with anything else missing", () => {
    expect(decodeRow({})).toBeNull();
    expect(decodeRow({ ref: "cnv_1", unread: "many", metadata: [] })).toMatchObject({
      handler: "bot",
      unread: 0,
      metadata: {},
      last_message: null,
    });
    expect(decodeDeskEvent("conversation", { ref: "cnv_1", deleted: true })).toEqual({
      event: "removed",
      ref: "cnv_1",
    });
  });
});

describe("the open conversation", () => {
  const event = (kind: string, data: unknown) => decodeConversationEvent(kind, data)!;
  const said = (id: string, role: string, more = {}) => ({
    id,
    role,
    content: id,
    metadata: {},
    created_at: ago(5),
    ...more,
  });

  it("shows the bot's words as they come, and closes the turn where a person takes over", () => {
    let state = openConversation("cnv_1", row("cnv_1"));
    const receive = (kind: string, data: unknown) =>
      (state = reduceOpened(state, { type: "event", event: event(kind, data), now: NOW }));
    receive("answer.start", { turn_id: "t1" });
    receive("answer.delta", { turn_id: "t1", text: "So " });
    expect(toListState(state).answering?.text).toBe("So ");
    receive("answer.end", { turn_id: "t1", message: null, citations: [] });
    receive("handler", { handler: "human", assigned_to: { name: "Anna" } });
    expect(toListState(state).answering).toBeNull();
    expect([state.handler, state.assigned_to?.name]).toEqual(["human", "Anna"]);
  });

  it("takes a note that comes again once, and knows who wrote it", () => {
    let state = openConversation("cnv_1", null);
    const note = event(
      "message",
      said("note_1", "note", { author: { type: "operator", name: "Tom" } }),
    );
    for (let n = 0; n < 2; n++)
      state = reduceOpened(state, { type: "event", event: note, now: NOW });
    expect(state.transcript.messages).toMatchObject([{ role: "note", author: "Tom" }]);
  });

  it("replaces a reply on its way by the stored one, whichever way that comes first", () => {
    const sending = { type: "sending", text: "Hi", client_id: "c1", me: ME, at: ago(0) } as const;
    const stored = event(
      "message",
      said("m1", "assistant", { client_id: "c1", author: { name: "Anna" } }),
    );
    let state = reduceOpened(openConversation("cnv_1", null), sending);
    expect(state.transcript.messages[0]).toMatchObject({ delivery: "sending", author: "Anna" });
    state = reduceOpened(state, { type: "event", event: stored, now: NOW });
    expect(state.transcript.messages.map((one) => one.id)).toEqual(["m1"]);
    if (stored.event === "message")
      state = reduceOpened(state, { type: "stored", message: stored.message, client_id: "c1" });
    expect(state.transcript.messages.map((one) => one.id)).toEqual(["m1"]);
  });

  it("keeps a reply that was not sent, with its words", () => {
    let state = reduceOpened(openConversation("cnv_1", null), {
      type: "sending",
      text: "Hi",
      client_id: "c1",
      me: ME,
      at: ago(0),
    });
    state = reduceOpened(state, { type: "notSent", client_id: "c1" });
    expect(state.transcript.messages[0]).toMatchObject({ delivery: "failed", content: "Hi" });
    expect(knownIds(state).size).toBe(0);
  });

  it("ends the visitor's typing with their message", () => {
    let state = openConversation("cnv_1", null);
    state = reduceOpened(state, {
      type: "event",
      event: event("typing", { who: "visitor" }),
      now: NOW,
    });
    expect(state.visitorTypesUntil).toBeGreaterThan(NOW);
    state = reduceOpened(state, {
      type: "event",
      event: event("message", said("m1", "user")),
      now: NOW,
    });
    expect(state.visitorTypesUntil).toBe(0);
  });

  it("shows the last rating with its comment", () => {
    const rated = said("m1", "assistant", {
      metadata: { feedback: { rating: "down", comment: "Old" } },
    });
    const state = reduceOpened(openConversation("cnv_1", null), {
      type: "event",
      event: event("message", rated),
      now: NOW,
    });
    expect(lastRating(state)).toEqual({ rating: "down", comment: "Old" });
  });
});

describe("the keys", () => {
  const press = (key: string, more = {}) => ({
    key,
    code: "",
    ctrlKey: false,
    metaKey: false,
    altKey: false,
    isComposing: false,
    repeat: false,
    ...more,
  });
  const free = { inField: false, singleKeys: true };

  it("stand for their commands", () => {
    const all = [..."jktrnbe/?"].map((key) => commandOf(press(key), free));
    expect(all).toEqual([
      "next", "previous", "take", "reply", "note", "toBot", "end", "replies", "help",
    ]); // prettier-ignore
    expect(commandOf(press("T"), free)).toBe("take");
    expect(keyOf("take")).toBe("T");
  });

  it("do nothing in fields, with other modifiers, or where they are switched off; Ctrl+K always works", () => {
    expect(commandOf(press("e"), { inField: true, singleKeys: true })).toBeNull();
    expect(commandOf(press("e"), { inField: false, singleKeys: false })).toBeNull();
    for (const more of [
      { ctrlKey: true },
      { metaKey: true },
      { altKey: true },
      { isComposing: true },
    ])
      expect(commandOf(press("e", more), free)).toBeNull();
    for (const more of [{ ctrlKey: true }, { metaKey: true }])
      expect(commandOf(press("k", more), { inField: true, singleKeys: false })).toBe("palette");
  });

  it("work on keyboards without Latin letters, and do once what must not be repeated", () => {
    expect(commandOf(press("ت", { code: "KeyJ" }), free)).toBe("next");
    expect(commandOf(press("e", { repeat: true }), free)).toBeNull();
    expect(commandOf(press("j", { repeat: true }), free)).toBe("next");
  });
});

describe("the address", () => {
  it("names the view and the conversation", () => {
    expect(parseRoute("#mine/cnv_0123456789abcdef01234567")).toEqual({
      page: "mine",
      ref: "cnv_0123456789abcdef01234567",
    });
    expect(parseRoute("#analytics")).toEqual({ page: "analytics", ref: null });
    for (const odd of ["", "#", "#nowhere", "#queue/../x", "#__proto__"])
      expect(parseRoute(odd)).toEqual({ page: "queue", ref: null });
    expect(routeTo("queue", "cnv_1")).toBe("#queue/cnv_1");
  });

  it("may hold an invitation", () => {
    expect(invitationIn("#invite=inv_abc-_1")).toBe("inv_abc-_1");
    for (const none of ["", "#queue", "#invite="]) expect(invitationIn(none)).toBeNull();
  });
});

describe("the preferences", () => {
  it("are remembered, and what is no preference is left out", () => {
    const kept = new Map<string, string>();
    const storage = {
      getItem: (key: string) => kept.get(key) ?? null,
      setItem: (key: string, value: string) => void kept.set(key, value),
    };
    expect(readPreferences(storage)).toEqual({
      sound: true,
      notifications: false,
      singleKeys: true,
    });
    savePreferences(storage, { sound: false, notifications: true, singleKeys: false });
    expect(readPreferences(storage)).toEqual({
      sound: false,
      notifications: true,
      singleKeys: false,
    });
    for (const odd of ["null", "{", '{"sound":"loud","x":true}', "[]"]) {
      kept.set("baton-desk:preferences", odd);
      expect(readPreferences(storage)).toEqual(readPreferences(undefined));
    }
  });
});
