import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { decodeDays } from "../../client/desk-decode";
import { PLOTS, type Question } from "../../state/desk-analytics";
import { registerChunk } from "../../client/lazy-chunks";
import en from "../../locales/desk/en.json";
import "./analytics";
import type { BatonDeskAnalytics } from "./analytics";

registerChunk("messages", { words: en });
const HOSTILE = "<img src=x onerror=alert(1)>";
let questions: Question[] = [];
let fails = false;
const api = {
  analytics: vi.fn(async (from: string) => {
    if (fails) throw new Error("away");
    return decodeDays([
      { date: from, sessions: 3, asked: 2 },
      { date: "2026-03-14", sessions: 1234, wait_p50_s: 2.5 },
    ]);
  }),
  analyticsUrl: (from: string) => `/api/desk/analytics?from=${from}&format=csv`,
  questions: vi.fn(async () => ({ kept: true, questions })),
  eraseQuestions: vi.fn(async (id?: string) => {
    questions = id ? questions.filter((one) => one.id !== id) : [];
    return {};
  }),
};

async function shown(): Promise<BatonDeskAnalytics> {
  const element = document.createElement("baton-desk-analytics") as BatonDeskAnalytics;
  Object.assign(element, { api });
  document.body.append(element);
  await vi.waitFor(() =>
    expect(element.renderRoot.querySelector(".figures, [role=status]:not(:empty)")).toBeTruthy(),
  );
  await element.refresh();
  await element.updateComplete;
  return element;
}
const all = (element: BatonDeskAnalytics, selector: string) => [
  ...element.renderRoot.querySelectorAll<HTMLElement>(selector),
];
const press = async (element: BatonDeskAnalytics, text: string) => {
  all(element, "button")
    .find((one) => one.textContent === text)!
    .click();
  await element.updateComplete;
};

beforeEach(() => {
  questions = [
    { id: "a", question: HOSTILE, count: 2, last_at: "2026-03-14T12:00:00.000Z" },
    { id: "b", question: "Is it blue?", count: 1, last_at: "2026-03-14T12:00:00.000Z" },
  ];
});
afterEach(() => {
  document.body.replaceChildren();
  fails = false;
  vi.clearAllMocks();
});

describe("<baton-desk-analytics>", () => {
  it("has a table beside each plot, which says what the plot shows", async () => {
    const element = await shown();
    const figures = all(element, "figure");
    expect(figures).toHaveLength(PLOTS.length);
    for (const [at, figure] of figures.entries()) {
      expect(figure.querySelector("figcaption")!.textContent).toBeTruthy();
      expect(figure.querySelectorAll("thead th")).toHaveLength(1 + PLOTS[at]!.series.length);
      expect(figure.querySelectorAll("tbody tr")).toHaveLength(2);
      expect(figure.querySelector(".plot")!.getAttribute("aria-hidden")).toBe("true");
    }
    expect(figures[0]!.querySelector("tbody td")!.textContent).toBe("1,234");
    expect(all(element, "rect").length).toBeGreaterThan(2);
  });

  it("has words for everything that it shows", async () => {
    const element = await shown();
    expect(element.renderRoot.textContent).not.toContain("desk.analytics");
  });

  it("asks for another period, and offers it as a file", async () => {
    const element = await shown();
    await press(element, "7 days");
    await vi.waitFor(() => expect(api.analytics).toHaveBeenCalledTimes(3));
    const [[first], [last]] = [api.analytics.mock.calls[0]!, api.analytics.mock.calls.at(-1)!];
    expect(Date.parse(last) - Date.parse(first)).toBe(23 * 86_400_000);
    expect(all(element, "a[download]")[0]!.getAttribute("href")).toContain(`from=${last}`);
    expect(all(element, "[aria-pressed=true]").map((one) => one.textContent)).toEqual(["7 days"]);
  });

  it("shows questions as text, and erases them only when asked twice", async () => {
    const element = await shown();
    expect(all(element, "q").map((one) => one.textContent)).toEqual([HOSTILE, "Is it blue?"]);
    expect(all(element, "img")).toEqual([]);
    all(element, ".erase")[0]!.click();
    await element.updateComplete;
    expect(api.eraseQuestions).not.toHaveBeenCalled();
    await press(element, "Erase for good?");
    await vi.waitFor(() => expect(all(element, "q")).toHaveLength(1));
    expect(api.eraseQuestions).toHaveBeenCalledWith("a");
    await press(element, "Erase all questions");
    await press(element, "Erase for good?");
    await vi.waitFor(() => expect(all(element, "q")).toHaveLength(0));
    expect(api.eraseQuestions).toHaveBeenLastCalledWith(undefined);
    expect(element.renderRoot.textContent).toContain("There are none.");
  });

  it("says so when the figures cannot be had, and keeps those that it has", async () => {
    const element = await shown();
    fails = true;
    await element.refresh();
    await element.updateComplete;
    expect(all(element, "[role=status]")[0]!.textContent).toContain("could not be loaded");
    expect(all(element, "figure")).toHaveLength(PLOTS.length);
  });
});
