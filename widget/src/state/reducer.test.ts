import { expect, test } from "vitest";
import { decodeEvent, type ChatEvent } from "../client/decode";
import {
  EMPTY,
  mergeHistory,
  prependMessages,
  reduceTranscript,
  removeLocalMessage,
  upsertLocalMessage,
  type Transcript,
} from "./reducer";
import type { Message } from "../types";

const message = (
  id: string,
  role: Message["role"],
  content: string,
  client_id?: string,
): Message => ({
  id,
  role,
  content,
  metadata: {},
  created_at: "2026-01-31T12:00:00.000Z",
  ...(client_id ? { client_id } : {}),
});
const ANSWER: ChatEvent[] = [
  { event: "message", message: message("m1", "user", "Hello?", "q.1") },
  { event: "answer.start", turn_id: "t1" },
  { event: "answer.delta", turn_id: "t1", text: "Good " },
  { event: "answer.delta", turn_id: "t1", text: "day" },
  { event: "answer.delta", turn_id: "t1", text: "." },
  { event: "answer.end", turn_id: "t1", message: message("m2", "assistant", "Good day.") },
];
const all = (events: ChatEvent[], from: Transcript = EMPTY) =>
  events.reduce(reduceTranscript, from);

test("events become messages, and the answer grows while it is made", () => {
  expect(all(ANSWER.slice(0, 4)).turn?.text).toBe("Good day");
  const end = all(ANSWER);
  expect(end.turn).toBeNull();
  expect(end.messages.map((one) => one.content)).toEqual(["Hello?", "Good day."]);
});

test("a replay from the first word, at every point of an answer, shows each word once", () => {
  for (let cut = 1; cut <= ANSWER.length; cut++) {
    const replayed = all(ANSWER.slice(1), all(ANSWER.slice(0, cut)));
    expect(
      replayed.messages.map((one) => one.content),
      `cut after ${cut}`,
    ).toEqual(["Hello?", "Good day."]);
    expect(replayed.turn).toBeNull();
  }
});

test("an answer replayed does not shrink on the screen meanwhile", () => {
  let now = all(ANSWER.slice(0, 4));
  for (const event of ANSWER.slice(1, 4)) {
    now = reduceTranscript(now, event);
    expect(now.turn?.text).toBe("Good day");
  }
  expect(reduceTranscript(now, ANSWER[4]!).turn?.text).toBe("Good day.");
});

test("a replay that joins neighbouring deltas gives the same text", () => {
  const joined = all(
    [ANSWER[1]!, { event: "answer.delta", turn_id: "t1", text: "Good day" }],
    all(ANSWER.slice(0, 3)),
  );
  expect(joined.turn?.text).toBe("Good day");
});

test("a delta passed on with its place is laid over what is known, and one past a gap is not shown", () => {
  const half = all(ANSWER.slice(0, 3));
  expect(
    reduceTranscript(half, { event: "answer.delta", turn_id: "t1", text: "d day", at: 3 }).turn
      ?.text,
  ).toBe("Good day");
  expect(reduceTranscript(half, { event: "answer.delta", turn_id: "t1", text: "!", at: 9 })).toBe(
    half,
  );
  expect(reduceTranscript(half, { event: "answer.delta", turn_id: "t9", text: "!" })).toBe(half);
});

test("an answer that arrives before its question is replayed stands after it, and before what is still on its way", () => {
  let now = upsertLocalMessage(EMPTY, "q.1", "Hello?", undefined, "");
  now = upsertLocalMessage(now, "q.2", "More?", "sending", "");
  now = all(ANSWER.slice(1), now);
  expect(now.messages.map((one) => one.content)).toEqual(["Hello?", "Good day.", "More?"]);
  now = all(ANSWER, now);
  expect(now.messages.map((one) => one.id)).toEqual(["m1", "m2", "local:q.2"]);
});

test("a history that was read before the question was stored puts no answer before it", () => {
  const asked = upsertLocalMessage(EMPTY, "q.1", "Hello?", undefined, "");
  const late = mergeHistory(
    all(ANSWER.slice(1), asked),
    [],
    new Set(asked.messages.map((one) => one.id)),
  );
  expect(late.messages.map((one) => one.content)).toEqual(["Hello?", "Good day."]);
});

test("own words show at once, and the service's message takes their place in the service's order", () => {
  let now = upsertLocalMessage(EMPTY, "q.1", "Hello?", "sending", "");
  now = reduceTranscript(now, {
    event: "message",
    message: message("m0", "user", "From a phone", "q.0"),
  });
  now = reduceTranscript(now, ANSWER[0]!);
  expect(now.messages.map((one) => one.id)).toEqual(["m0", "m1"]);
  expect(now.messages[1]!.delivery).toBeUndefined();
  expect(upsertLocalMessage(now, "q.1", "Hello?", "sending", "")).toBe(now);
});

test("words taken back are gone", () => {
  expect(
    removeLocalMessage(upsertLocalMessage(EMPTY, "q.1", "Hello?", "failed", ""), "q.1").messages,
  ).toEqual([]);
});

test("a history read again keeps older pages, unsent words, and what came meanwhile", () => {
  const older = prependMessages(
    all([
      { event: "message", message: message("m1", "user", "one") },
      { event: "message", message: message("m2", "user", "two") },
    ]),
    [message("m0", "user", "zero")],
  );
  const asked = new Set(["m0", "m1", "m2"]);
  const late = upsertLocalMessage(
    reduceTranscript(older, { event: "message", message: message("m4", "user", "four") }),
    "q.5",
    "five",
    "queued",
    "",
  );
  const now = mergeHistory(
    late,
    [message("m1", "user", "one"), message("m2", "user", "two"), message("m3", "user", "three")],
    asked,
  );
  expect(now.messages.map((one) => one.content)).toEqual([
    "zero",
    "one",
    "two",
    "three",
    "four",
    "five",
  ]);
});

test("a history that holds the whole answer ends the half one on the screen", () => {
  const half = all(ANSWER.slice(0, 4));
  expect(
    mergeHistory(
      half,
      [message("m1", "user", "Hello?"), message("m2", "assistant", "Good day.")],
      new Set(["m1"]),
    ).turn,
  ).toBeNull();
  expect(mergeHistory(half, [message("m1", "user", "Hello?")], new Set(["m1"])).turn?.text).toBe(
    "Good day",
  );
  // A feed that comes back a little late tells the turn again: it must not stand there twice.
  const read = mergeHistory(
    half,
    [message("m1", "user", "Hello?"), message("m2", "assistant", "Good day.")],
    new Set(["m1"]),
  );
  expect(ANSWER.slice(1).reduce(reduceTranscript, read).turn).toBeNull();
  expect(
    ANSWER.slice(1)
      .reduce(reduceTranscript, read)
      .messages.map((one) => one.id),
  ).toEqual(["m1", "m2"]);
});

test("a broken answer keeps its words and says that it failed, until another begins", () => {
  const broken = all([
    ...ANSWER.slice(0, 4),
    {
      event: "answer.error",
      turn_id: "t1",
      code: "engine_failed",
      message: message("m2", "assistant", "Good day"),
    },
  ]);
  expect([broken.failed, broken.turn, broken.messages.length]).toEqual(["engine_failed", null, 2]);
  expect(reduceTranscript(broken, { event: "answer.start", turn_id: "t2" }).failed).toBeNull();
});

test("what has not the shape of an event is not one", () => {
  for (const [kind, data] of [
    ["message", null],
    ["message", { id: 1 }],
    ["message", { id: "m", role: "root", content: "x" }],
    ["answer.delta", { turn_id: "t" }],
    ["answer.end", { turn_id: "t", message: "x" }],
    ["session", {}],
    ["surprise", {}],
    ["message", { id: "local:q", role: "user", content: "x" }],
  ] as const) {
    expect(decodeEvent(kind, data), `${kind} ${JSON.stringify(data)}`).toBeNull();
  }
  expect(
    decodeEvent("answer.end", {
      turn_id: "t",
      message: { id: "m", role: "assistant", content: "x" },
      citations: [{ title: "T", url: "u" }, 7],
    }),
  ).toMatchObject({ message: { metadata: { citations: [{ title: "T", url: "u" }] } } });
});
