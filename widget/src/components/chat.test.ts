import { afterEach, describe, expect, it, vi } from "vitest";
import "../page-chunks";
import type { BatonChat } from "./chat";
import "./chat";
import type { Conversation, State } from "../types";
import { AT_REST, message, mountChat } from "../../test/view-state";

const CALM: State = { ...AT_REST, status: "none" };

/** A conversation that stands where the test puts it, and remembers what it was asked for. */
class Stage implements Conversation {
  state = CALM;
  draft = "";
  readonly asked: unknown[][] = [];
  private readonly listeners = new Set<() => void>();
  subscribe = (changed: () => void) => {
    this.listeners.add(changed);
    return () => void this.listeners.delete(changed);
  };
  set(more: Partial<State>): void {
    this.state = { ...this.state, ...more };
    this.listeners.forEach((changed) => changed());
  }
  private note =
    (name: string) =>
    async (...given: unknown[]): Promise<never> =>
      void this.asked.push([name, ...given]) as never;
  start = this.note("start");
  send = this.note("send");
  stop = this.note("stop");
  retry = this.note("retry");
  end = this.note("end");
  loadOlder = this.note("older");
  link = this.note("link");
  handoff = this.note("handoff");
  transcript = this.note("transcript");
  erase = this.note("erase");
  feedback = this.note("feedback");
  startNew = (): void => void this.asked.push(["startNew"]);
  setActive(): void {}
  identify(): void {}
  dispose(): void {}
}

async function show(state: Partial<State> = {}, options: BatonChat["options"] = {}) {
  const stage = new Stage();
  stage.state = { ...CALM, ...state };
  const { chat, root, button } = await mountChat(stage, options);
  const articles = () => [...root.querySelectorAll("article")];
  return { chat, stage, root, articles, button, field: () => root.querySelector("textarea")! };
}

const key = (field: HTMLElement, init: KeyboardEventInit) =>
  field.dispatchEvent(
    new KeyboardEvent("keydown", { key: "Enter", cancelable: true, bubbles: true, ...init }),
  );

afterEach(() => document.body.replaceChildren());

describe("the chat", () => {
  it("sends what Enter was pressed on while an answer was being written when that is done", async () => {
    const { root, stage, field } = await show({
      status: "active",
      waiting: true,
      messages: [message("user", "Hi")],
    });
    const sent = () => stage.asked.filter(([name]) => name === "send");
    field().value = "And then?";
    field().dispatchEvent(new Event("input", { bubbles: true }));
    key(field(), {});
    await vi.waitFor(() =>
      expect(root.querySelector("[role=status]")!.textContent).toContain(
        "when this answer is done",
      ),
    );
    expect(sent()).toEqual([]);
    expect(field().value).toBe("And then?");
    stage.set({
      waiting: false,
      messages: [...stage.state.messages, message("assistant", "Hello")],
    });
    await vi.waitFor(() => expect(sent()).toEqual([["send", "And then?"]]));
    expect(field().value).toBe("");
  });

  it("says that it loads with one ellipsis, in each language", async () => {
    for (const lang of ["en", "de", "ar"]) {
      const { root, chat } = await show({ loading: true }, { lang });
      await vi.waitFor(() => expect(root.querySelector(".loading")).not.toBe(null));
      expect(root.querySelector(".loading")!.textContent).toMatch(/[^…]…$/);
      chat.remove();
    }
  });

  it("names each message by who said it", async () => {
    const { articles } = await show({
      status: "active",
      messages: [
        message("user", "Hi"),
        message("assistant", "Hello"),
        message("assistant", "I am here", { metadata: { operator: "Noor" } }),
      ],
    });
    await vi.waitFor(() =>
      expect(articles().map((one) => one.getAttribute("aria-label")!.split(",")[0])).toEqual([
        "You",
        "Assistant",
        "Noor",
      ]),
    );
  });

  it("shows an answer stopped before its first word as a line, not as a bubble, and says it", async () => {
    const { articles, root, stage } = await show({
      status: "active",
      messages: [message("user", "Hi")],
    });
    await vi.waitFor(() => expect(articles()).toHaveLength(1));
    stage.set({
      messages: [
        ...stage.state.messages,
        message("assistant", "", { metadata: { stopped: true } }),
      ],
    });
    await vi.waitFor(() => expect(articles()).toHaveLength(2));
    const last = articles()[1]!;
    expect(last.querySelector<HTMLElement>(".text")!.hidden).toBe(true);
    expect(last.querySelector(".foot")!.textContent).toBe("Stopped");
    expect(last.querySelector("button")).toBe(null);
    expect(root.querySelector("#live")!.textContent).toBe("Stopped");
  });

  it.each([
    ["length", "This answer reached its length limit and is not complete."],
    ["content_filter", "The rest of this answer was held back by a content filter."],
    ["stop", ""],
  ])("says under an answer that ended by %s that it is not complete", async (reason, line) => {
    const metadata = { finish_reason: reason };
    const { articles } = await show({
      status: "active",
      messages: [message("user", "Hi"), message("assistant", "Half an", { metadata })],
    });
    await vi.waitFor(() => expect(articles()).toHaveLength(2));
    expect(articles()[1]!.querySelector(".note")?.textContent ?? "").toBe(line);
  });

  it("sends on Enter, but not on Shift+Enter nor while a word is being composed", async () => {
    const { stage, field } = await show();
    field().value = "What is it?";
    key(field(), { shiftKey: true });
    key(field(), { isComposing: true });
    expect(stage.asked).toEqual([]);
    key(field(), {});
    expect(stage.asked).toEqual([["send", "What is it?"]]);
    expect(field().value).toBe("");
  });

  it("sends nothing while an answer is being made, and keeps the text", async () => {
    const { stage, field, button } = await show({
      status: "active",
      waiting: true,
      messages: [message("user", "Hi")],
    });
    field().value = "Another";
    key(field(), {});
    expect(stage.asked).toEqual([]);
    expect(field().value).toBe("Another");
    button("Stop")!.click();
    expect(stage.asked).toEqual([["stop"]]);
  });

  it("keeps the nodes of messages that have not changed, and the article of a streamed answer when it is done", async () => {
    const question = message("user", "Hi");
    const { stage, articles } = await show({ status: "active", messages: [question] });
    await vi.waitFor(() => expect(articles().length).toBe(1));
    const first = articles()[0];
    stage.set({ answering: { turn_id: "t1", text: "It is [1]", mine: true } });
    await vi.waitFor(() => expect(articles()[1]?.textContent).toContain("It is"));
    const live = articles()[1];
    expect(live!.getAttribute("aria-busy")).toBe("true");
    const citations = [{ title: "Page", url: "https://docs.example/p", snippet: "" }];
    stage.set({
      answering: null,
      messages: [question, message("assistant", "It is [1] so.", { metadata: { citations } })],
    });
    await vi.waitFor(() => expect(live!.textContent).toContain("so."));
    expect(articles()).toEqual([first, live]);
    expect(live!.querySelector<HTMLAnchorElement>("a.chip")!.href).toBe("https://docs.example/p");
    expect(live!.hasAttribute("aria-busy")).toBe(false);
  });

  it("puts the acknowledged message in the place of the optimistic one", async () => {
    const { stage, articles } = await show({
      status: "active",
      messages: [message("user", "Hi", { id: "local:c1", client_id: "c1", delivery: "sending" })],
    });
    await vi.waitFor(() => expect(articles()[0]?.textContent).toContain("Sending"));
    const shown = articles()[0];
    stage.set({ messages: [message("user", "Hi", { client_id: "c1" })] });
    await vi.waitFor(() => expect(articles()[0]!.textContent).not.toContain("Sending"));
    expect(articles()).toEqual([shown]);
  });

  it("offers Retry once for a message that was not sent, with its text still there", async () => {
    const { stage, root, button } = await show({
      status: "active",
      canRetry: true,
      messages: [message("user", "Sent?", { client_id: "c7", delivery: "failed" })],
    });
    await vi.waitFor(() => expect(button("Retry")).toBeDefined());
    expect(
      [...root.querySelectorAll("button")].filter((one) => one.textContent!.includes("Retry"))
        .length,
    ).toBe(1);
    expect(root.querySelector("article")!.textContent).toContain("Not sent");
    button("Retry")!.click();
    expect(stage.asked).toEqual([["retry", "c7"]]);
  });

  it("asks before it ends the chat, and ends nothing on Cancel", async () => {
    const { stage, root, button } = await show({
      status: "active",
      messages: [message("user", "Hi")],
    });
    const choose = async (name: string) => {
      button("More actions")!.click();
      await vi.waitFor(() => expect(button("End chat")).toBeDefined());
      button("End chat")!.click();
      await vi.waitFor(() => expect(root.querySelector("[role=dialog]")).not.toBe(null));
      [...root.querySelectorAll<HTMLButtonElement>("[role=dialog] button")]
        .find((one) => one.textContent!.trim() === name)!
        .click();
      await vi.waitFor(() => expect(root.querySelector("[role=dialog]")).toBe(null));
    };
    await choose("Cancel");
    expect(stage.asked).toEqual([]);
    await choose("End chat");
    expect(stage.asked).toEqual([["end"]]);
  });

  it("takes a question while another tab's answer is written, and sends it when that is done", async () => {
    const { stage, root, field } = await show({
      status: "active",
      messages: [message("user", "Hi")],
      answering: { turn_id: "t", text: "So", mine: false },
    });
    expect(field().readOnly).toBe(false);
    field().value = "And then?";
    key(field(), {});
    await vi.waitFor(() =>
      expect(root.querySelector("[role=status]")!.textContent).toContain(
        "when this answer is done",
      ),
    );
    expect(stage.asked).toEqual([]);
    stage.set({
      answering: null,
      messages: [...stage.state.messages, message("assistant", "So it is.")],
    });
    await vi.waitFor(() => expect(stage.asked).toEqual([["send", "And then?"]]));
  });

  it("sends text that came back for another tab's answer when that is done, unless it was changed", async () => {
    const { stage, root, field } = await show({
      status: "active",
      waiting: true,
      returnedDraft: { text: "Keep me", n: 1, next: true },
    });
    await vi.waitFor(() => expect(field().value).toBe("Keep me"));
    expect(root.querySelector("[role=status]")!.textContent).toContain("when this answer is done");
    stage.set({ waiting: false });
    await vi.waitFor(() => expect(stage.asked).toEqual([["send", "Keep me"]]));
    stage.set({ waiting: true, returnedDraft: { text: "Keep me too", n: 2, next: true } });
    await vi.waitFor(() => expect(field().value).toBe("Keep me too"));
    field().value = "Keep me, but";
    field().dispatchEvent(new Event("input", { bubbles: true }));
    stage.set({ waiting: false });
    await vi.waitFor(() => expect(root.querySelector("[aria-label=Send]")).not.toBe(null));
    expect(stage.asked.length).toBe(1);
    expect(field().value).toBe("Keep me, but");
  });

  it("takes text that could not be sent back into the composer, once", async () => {
    const { stage, root, field } = await show({
      status: "active",
      wait: 30,
      returnedDraft: { text: "Keep me", n: 1 },
    });
    await vi.waitFor(() => expect(field().value).toBe("Keep me"));
    field().value = "";
    stage.set({ wait: 29 });
    await vi.waitFor(() =>
      expect(root.querySelector("[role=status]")!.textContent).toContain("29 seconds"),
    );
    expect(field().value).toBe("");
  });

  it("sends a suggestion when it is pressed, and shows none once the conversation has begun", async () => {
    const { stage, root, button } = await show({}, { suggestions: ["How long?", "How much?"] });
    button("How much?")!.click();
    expect(stage.asked).toEqual([["send", "How much?"]]);
    stage.set({ status: "active", messages: [message("user", "How much?")] });
    await vi.waitFor(() => expect(root.querySelector(".suggestions")).toBe(null));
  });

  it("stores a rating with its optional word", async () => {
    const answer = message("assistant", "So it is.");
    const { stage, root, button } = await show({
      status: "active",
      messages: [message("user", "Hi"), answer],
    });
    await vi.waitFor(() => expect(button("Poor answer")).toBeDefined());
    button("Poor answer")!.click();
    root.querySelector<HTMLInputElement>(".feedback-form input")!.value = "Too short";
    root
      .querySelector<HTMLFormElement>(".feedback-form")!
      .dispatchEvent(new Event("submit", { cancelable: true }));
    expect(stage.asked).toEqual([
      ["feedback", answer.id, "down", undefined],
      ["feedback", answer.id, "down", "Too short"],
    ]);
    expect(button("Poor answer")!.getAttribute("aria-pressed")).toBe("true");
  });

  it("shows the whole of a long history, oldest first", async () => {
    const messages = Array.from({ length: 120 }, (_, i) =>
      message(i % 2 ? "assistant" : "user", `number ${i}`),
    );
    const { articles } = await show({ status: "active", messages });
    await vi.waitFor(() => expect(articles().length).toBe(120), { timeout: 5000 });
    expect(
      articles()
        .map((one) => /number (\d+)/.exec(one.textContent!)![1])
        .map(Number),
    ).toEqual([...Array(120).keys()]);
  });

  it("has no live region in the log, and one beside it", async () => {
    const { root } = await show();
    expect(root.querySelector("[role=log]")!.getAttribute("aria-live")).toBe("off");
    expect(root.querySelector("#live")!.getAttribute("aria-live")).toBe("polite");
  });
});
