import { readdirSync, readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { statusLines, waitText } from "./status-banner";
import { language } from "../locales/i18n";
import type { State } from "../types";
import en from "../locales/en.json";
import { AT_REST } from "../../test/view-state";

const english = language("en");
const say = (state: Partial<State>): string[] =>
  statusLines({ ...AT_REST, ...state }, english).map((line) => line.text);

describe("the status region", () => {
  it("says nothing when all is well", () => {
    expect(say({})).toEqual([]);
  });

  it("holds the seconds of a wait, and minutes from ninety seconds on", () => {
    expect(
      say({ wait: 42, notice: { key: "wait", tone: "warning", params: { seconds: 42 } } }),
    ).toEqual([waitText(42, english)]);
    expect(waitText(42, english)).toContain("42 seconds");
    expect(waitText(1, english)).toContain("1 second.");
    expect(waitText(90, english)).toContain("2 minutes");
  });

  it("says which limit was reached, and for long waits the time of day", () => {
    const wait = (key: string, seconds: number) =>
      say({ wait: seconds, notice: { key, tone: "warning", params: { seconds } } });
    expect(wait("wait.session", 1200)).toEqual([waitText(1200, english, "wait.session")]);
    expect(wait("wait.session", 1200)[0]).toMatch(/^This chat .*limit.* 20 minutes, at \d+:\d\d/);
    expect(wait("wait.address", 30)[0]).toMatch(/network.* 30 seconds/);
    expect(wait("wait", 30)[0]).toMatch(/30 seconds/);
  });

  it("says once how long a busy engine needs, and counts it down without reading every second out", () => {
    const shown = statusLines(
      {
        ...AT_REST,
        wait: 7,
        notice: { key: "engineBusy", tone: "warning", params: { seconds: 7 } },
      },
      english,
    );
    expect(shown.map((line) => [line.key, line.counting])).toEqual([["engineBusy", true]]);
    expect(shown[0]!.text).toContain("7 seconds");
  });

  it("offers a new chat once after an end, on a dead link and in a conversation begun elsewhere", () => {
    const states: Partial<State>[] = [
      { status: "ended", notice: { key: "ended", tone: "info" } },
      { status: "none", notice: { key: "deadLink", tone: "warning" } },
      { openedBySharedLink: true, notice: { key: "continued", tone: "info" } },
      { status: "gone", notice: { key: "gone", tone: "info" } },
      { openedBySharedLink: true, notice: { key: "full", tone: "warning" } },
    ];
    for (const state of states)
      expect(
        statusLines({ ...AT_REST, ...state }, english).filter((line) => line.offerNewChat).length,
      ).toBe(1);
    expect(say({ status: "ended" })[0]).toContain("ended");
  });

  it("asks beside the opening line alone whether a conversation handed over is one's own", () => {
    const doubts = (state: Partial<State>) =>
      statusLines({ ...AT_REST, ...state }, english)
        .filter((line) => line.notYoursOffer)
        .map((line) => line.text);
    expect(
      doubts({ openedByOneTimeLink: true, notice: { key: "continued", tone: "info" } }),
    ).toEqual(["Conversation continued from widget"]);
    expect(doubts({ openedByOneTimeLink: true, notice: { key: "busy", tone: "warning" } })).toEqual(
      [],
    );
    expect(doubts({ notice: { key: "continued", tone: "info" } })).toEqual([]);
  });

  it("shows a lost connection, once", () => {
    expect(say({ connection: "offline" })).toHaveLength(1);
    expect(
      say({ connection: "offline", notice: { key: "offline", tone: "warning" } }),
    ).toHaveLength(1);
  });

  it("has words for every notice that the conversation can give", () => {
    const source = readdirSync("src/state")
      .filter((name) => !name.endsWith(".test.ts"))
      .map((name) => readFileSync(`src/state/${name}`, "utf8"))
      .join("\n");
    const written =
      /\b(?:returned|failed|notify)\("(\w+)"|, "(answerFailed)"|\b(?:notice|key): "(\w+)"/g;
    const keys = [...source.matchAll(written)]
      .map((found) => found[1] ?? found[2] ?? found[3]!)
      .filter((key) => key !== "not_sent" && key !== "wait");
    expect(keys.length).toBeGreaterThan(8);
    for (const key of keys) expect(en, key).toHaveProperty([`notice.${key}`]);
  });
});
