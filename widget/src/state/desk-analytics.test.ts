import { describe, expect, it } from "vitest";
import { decodeDays, decodeQuestions } from "../client/desk-decode";
import {
  bars,
  firstDay,
  headlines,
  highest,
  lines,
  PLOTS,
  scaleEnd,
  type Plot,
} from "./desk-analytics";

const plot = (name: string): Plot => PLOTS.find((one) => one.name === name)!;
const days = (...given: Record<string, unknown>[]) =>
  decodeDays(
    given.map((one, at) => ({ date: `2026-03-${String(at + 1).padStart(2, "0")}`, ...one })),
  );

describe("the daily counts", () => {
  it("are read whatever the service leaves out or gets wrong", () => {
    const [day, ...none] = decodeDays([
      {
        date: "2026-03-14",
        sessions: 3,
        asked: "many",
        up: -1,
        wait_p50_s: null,
        first_answer_p50_ms: 12.5,
        abandoned: { queue: 2 },
      },
      { sessions: 1 },
      null,
    ]);
    expect(none).toEqual([]);
    expect(day).toMatchObject({
      date: "2026-03-14",
      sessions: 3,
      asked: 0,
      up: 0,
      abandoned_queue: 2,
      abandoned_bot: 0,
      wait_p50_s: null,
      first_answer_p50_ms: 12.5,
    });
    expect(decodeDays({})).toEqual([]);
    expect(
      decodeQuestions({
        kept: true,
        questions: [{ id: "a", question: "x", count: 2, last_at: "t" }, {}],
      }),
    ).toEqual({
      kept: true,
      questions: [{ id: "a", question: "x", count: 2, last_at: "t" }],
    });
  });

  it("come with sums and shares, and no share of nothing", () => {
    const given = days(
      { sessions: 3, asked: 4, requested_human: 1, answers: 4, not_found: 1, up: 3, down: 1 },
      { sessions: 2 },
    );
    expect(headlines(given).map((one) => one.value)).toEqual([5, 0.75, 0.75, 0.75]);
    expect(headlines(days({})).map((one) => one.value)).toEqual([0, null, null, null]);
    expect(headlines(days({ asked: 1, requested_human: 5 }))[1]!.value).toBe(0);
  });

  it.each([
    [0, 2],
    [2, 2],
    [3, 4],
    [5, 5],
    [7, 10],
    [10, 10],
    [11, 20],
    [401, 500],
    [999, 1000],
  ])("have a scale for %d that ends at %d", (max, end) => {
    expect(scaleEnd(max)).toBe(end);
  });

  it("stand beside each other as bars, or on top of each other", () => {
    const given = days({ sessions: 4, asked: 2 }, {});
    const beside = bars(given, plot("conversations"), 100, 40);
    expect(beside.map(({ series, y, height }) => [series, y, height])).toEqual([
      [0, 0, 40],
      [1, 20, 20],
    ]);
    expect(beside[1]!.x).toBeCloseTo(beside[0]!.x + beside[0]!.width);
    const ends = days({ ended: 1, abandoned: { bot: 2, human: 1 } });
    expect(highest(ends, plot("ends"))).toBe(4);
    expect(
      bars(ends, plot("ends"), 100, 40).map(({ series, y, height }) => [series, y, height]),
    ).toEqual([
      [0, 30, 10],
      [1, 10, 20],
      [3, 0, 10],
    ]);
  });

  it("are lines that a day without a value parts", () => {
    const given = days({ wait_p50_s: 1 }, { wait_p50_s: 2 }, {}, { wait_p50_s: 0 });
    expect(lines(given, plot("wait"), 400, 40)).toEqual([
      [
        [50, 20],
        [150, 0],
      ],
      [[350, 40]],
    ]);
  });

  it("go back a whole number of days in UTC", () => {
    expect(firstDay(7, Date.parse("2026-03-01T00:00:01Z"))).toBe("2026-02-23");
  });
});
