import { afterEach, describe, expect, it, vi } from "vitest";
import "../page-chunks";
import type { BatonChat } from "./chat";
import "./chat";
import { asksForPerson } from "./asks-for-person";
import { initials } from "./initials";
import type { People } from "../state/people";
import type { Conversation, Handler, State } from "../types";
import { AT_REST, message, mountChat } from "../../test/view-state";

const handler = (kind: Handler["kind"], more: Partial<Handler> = {}): Handler => ({
  kind,
  name: "",
  position: 0,
  reason: "",
  ...more,
});

/** A conversation that stands where the test puts it; `people` answers as the test says. */
async function show(state: Partial<State>, options: BatonChat["options"] = { people: "online" }) {
  const listeners = new Set<() => void>();
  const people = {
    request: vi.fn<People["request"]>(async () => "queue"),
    leave: vi.fn<People["leave"]>(async () => {}),
    typing: vi.fn(),
  };
  const stage = {
    state: { ...AT_REST, ...state },
    draft: "",
    people,
    subscribe: (changed: () => void) => {
      listeners.add(changed);
      return () => listeners.delete(changed);
    },
    send: vi.fn(async () => {}),
  };
  const { chat, root, button } = await mountChat(stage as unknown as Conversation, options);
  const settle = () => chat.updateComplete;
  const set = async (more: Partial<State>) => {
    stage.state = { ...stage.state, ...more };
    listeners.forEach((changed) => changed());
    await new Promise((go) => setTimeout(go, 150)); // one rendering a frame
    await settle();
  };
  const line = () => root.querySelector(".notices .people > span")?.textContent.trim();
  await settle();
  return { root, set, settle, button, line, people, chat };
}

afterEach(() => document.body.replaceChildren());

describe("where people answer", () => {
  it("a visitor is told that people may read along, before the first message, and nowhere else", async () => {
    const { root } = await show({});
    expect(root.querySelector("[part=greeting]")!.textContent).toContain("may read along");
    const off = await show({}, {});
    expect(off.root.textContent).not.toContain("read along");
  });

  it("a person can be asked for in the menu", async () => {
    const { root, button, people, settle } = await show({});
    root.querySelector<HTMLElement>("#more")!.click();
    await settle();
    button("Talk to a person")!.click();
    expect(people.request).toHaveBeenCalledOnce();
  });

  it("and nowhere else is there such an action", async () => {
    const { root, button, settle } = await show({}, {});
    root.querySelector<HTMLElement>("#more")!.click();
    await settle();
    expect(button("New chat")).toBeTruthy();
    expect(button("Talk to a person")).toBe(undefined);
  });

  it("one line shows the queue, who came, and the way back", async () => {
    const { line, set, root } = await show({ handler: handler("queue", { position: 2 }) });
    expect(line()).toMatch(/^You are number 2 in the queue\./);
    await set({ handler: handler("queue", { position: 1, reason: "absent" }) });
    expect(line()).toMatch(/had to leave.*You are number 1 in the queue\.$/s);
    await set({ handler: handler("human", { name: "Anna Berg" }) });
    expect(line()).toBe("Anna Berg joined the conversation.");
    expect(root.querySelector(".people .avatar")!.textContent).toBe("AB");
    for (const [reason, words] of [
      ["released", /back with the assistant/],
      ["timeout", /nobody was free/],
      ["left", /away for a while/],
      ["kept", /passed on/],
      ["kept.mail", /by email/],
    ] as const) {
      await set({ handler: handler("bot", { reason }) });
      expect(line()).toMatch(words);
      expect(root.querySelectorAll(".people")).toHaveLength(1);
    }
    await set({ handler: handler("bot") });
    expect(line()).toBe(undefined);
    await set({ handler: handler("human", { name: "Anna" }), status: "ended" });
    expect(line()).toBe(undefined);
  });

  it("a reason that nobody knows is no line", async () => {
    const { line, root } = await show({ handler: handler("bot", { reason: "constructor" }) });
    expect(line()).toBe(undefined);
    expect(root.textContent).not.toContain("went wrong");
  });

  it("while a person answers, Send stays, and nothing stops or thinks", async () => {
    const { root, button, chat, people } = await show({
      handler: handler("human", { name: "Anna" }),
      messages: [message("user", "Hello?")],
    });
    expect(button("Send")).toBeTruthy();
    expect(button("Stop")).toBe(undefined);
    expect(root.querySelector(".thinking")).toBe(null);
    expect(chat.field!.placeholder).toBe("Write a message…");
    chat.onInput("H");
    expect(people.typing).toHaveBeenCalledOnce();
    chat.onInput("  ");
    expect(people.typing).toHaveBeenCalledOnce();
  });

  it("an operator's message has her name, her initials and her line breaks, and is not rated", async () => {
    const { root, set } = await show({ handler: handler("human", { name: "Anna" }) });
    await set({ messages: [message("assistant", "One\ntwo", { author: "Anna Berg" })] });
    await vi.waitFor(() => expect(root.querySelector("article")).not.toBe(null));
    const article = root.querySelector("article")!;
    expect(article.getAttribute("aria-label")).toMatch(/^Anna Berg,/);
    expect(article.querySelector(".avatar")!.textContent).toBe("AB");
    expect(article.querySelector(".text br")).not.toBe(null);
    expect(article.querySelector("[aria-pressed]")).toBe(null);
  });

  it("that somebody types is shown, and said once before each of their messages", async () => {
    const question = message("user", "Hello?");
    const { root, set } = await show({
      handler: handler("human", { name: "Anna" }),
      messages: [question],
    });
    await vi.waitFor(() => expect(root.querySelector("article")).not.toBe(null));
    const said = () => root.querySelector("#live")!.textContent;
    await set({ typing: "Anna" });
    expect(root.querySelector(".list-end")!.textContent).toContain("Anna is typing…");
    await set({ typing: "" });
    expect(root.querySelector(".list-end")!.textContent).toBe("");
    await set({ typing: "Anna" });
    expect(said()).toBe("Anna is typing…");
  });

  it("an answer that a person cut is marked calmly; one that broke off is not", async () => {
    const cut = () => message("assistant", "Half of", { metadata: { interrupted: true } });
    const notes = (root: ShadowRoot) =>
      [...root.querySelectorAll(".note")].map((one) => one.textContent);
    const { root, set } = await show({
      handler: handler("bot"),
      messages: [message("user", "Why?"), cut()],
    });
    await vi.waitFor(() => expect(notes(root)).toEqual(["This answer broke off."]));
    await set({ handler: handler("human", { name: "Anna" }) });
    expect(notes(root)).toEqual(["This answer stops here: a person takes over."]);
    const later = await show({
      handler: handler("bot"),
      messages: [
        message("user", "Why?"),
        cut(),
        message("user", "Anna?"),
        message("assistant", "Here.", { author: "Anna" }),
        message("user", "And why?"),
        cut(),
      ],
    });
    await vi.waitFor(() =>
      expect(notes(later.root)).toEqual([
        "This answer stops here: a person takes over.",
        "This answer broke off.",
      ]),
    );
  });

  it("the way to a person is offered under an answer that does not know, and where the visitor asks", async () => {
    const offered = async (question: string, metadata = {}, more: Partial<State> = {}) => {
      const { root, button } = await show({
        messages: [message("user", question), message("assistant", "Well.", { metadata })],
        ...more,
      });
      await vi.waitFor(() => expect(root.querySelector("article")).not.toBe(null));
      return !!button("Talk to a person");
    };
    expect(await offered("What is it?", { not_found: true })).toBe(true);
    expect(await offered("Can I talk to a human?")).toBe(true);
    expect(await offered("What is it?")).toBe(false);
    expect(await offered("What is it?", { handoff: true })).toBe(false);
    expect(await offered("What?", { not_found: true }, { handler: handler("queue") })).toBe(false);
    expect(await offered("What?", { not_found: true }, { status: "ended" })).toBe(false);
  });
});

describe("with nobody there", () => {
  const open = async () => {
    const chat = await show({ handler: handler("bot") });
    chat.people.request.mockResolvedValue("bot");
    chat.root.querySelector<HTMLElement>("#more")!.click();
    await chat.settle();
    chat.button("Talk to a person")!.click();
    await vi.waitFor(() => expect(chat.root.querySelector(".contact form")).not.toBe(null));
    const field = (name: string) =>
      chat.root.querySelector<HTMLInputElement>(`.contact [name=${name}]`)!;
    return { ...chat, field };
  };

  it("a form with labels and autocomplete takes a message and, for those who like, an address", async () => {
    const { field, root, button, people } = await open();
    for (const name of ["message", "name", "email"])
      expect(root.querySelector(`label[for="${field(name).id}"]`)!.textContent).not.toBe("");
    expect([field("name").autocomplete, field("email").autocomplete]).toEqual(["name", "email"]);
    field("message").value = " Call me. ";
    field("email").value = "anna@example.test";
    button("Send message")!.click();
    await vi.waitFor(() => expect(people.leave).toHaveBeenCalled());
    expect(people.leave).toHaveBeenCalledWith("Call me.", {
      name: undefined,
      email: "anna@example.test",
    });
    await vi.waitFor(() => expect(root.querySelector(".contact")).toBe(null));
  });

  it("under an answer that hands over to nobody, the form is offered", async () => {
    const { button, root } = await show({
      messages: [
        message("user", "Refund me"),
        message("assistant", "Sure.", { metadata: { handoff: false } }),
      ],
    });
    expect(button("Talk to a person")).toBe(undefined);
    button("Leave a message")!.click();
    await vi.waitFor(() => expect(root.querySelector(".contact form")).not.toBe(null));
  });

  it("says what is missing, and keeps what was written where it could not be sent", async () => {
    const { field, root, button, people, settle } = await open();
    const problem = () => root.querySelector("#contact-problem")!.textContent;
    button("Send message")!.click();
    await settle();
    expect(problem()).toMatch(/write a message/);
    field("message").value = "Call me.";
    field("email").value = "anna";
    button("Send message")!.click();
    await settle();
    expect(problem()).toMatch(/check the email address/);
    expect(field("email").getAttribute("aria-invalid")).toBe("true");
    field("email").value = "";
    people.leave.mockRejectedValueOnce(new Error("down"));
    button("Send message")!.click();
    await vi.waitFor(() => expect(problem()).toMatch(/did not work/));
    expect(field("message").value).toBe("Call me.");
  });
});

describe("the words of a visitor", () => {
  it.each([
    "I want to talk to a human",
    "Can I speak with a real person please?",
    "connect me to an agent",
    "Ich möchte mit einem Menschen sprechen",
    "Kann ich mit jemandem reden?",
    "echte Person bitte",
    "أريد التحدث إلى شخص",
    "أريد أن أتحدث مع موظف",
    "Je voudrais parler à un conseiller",
    "Quiero hablar con una persona",
  ])("ask for a person: %s", (text) => expect(asksForPerson(text)).toBe(true));

  it.each([
    "How many people work here?",
    "Is the price per person?",
    "What does the human resources page say?",
    "Wie viele Personen passen hinein?",
    "",
  ])("do not: %s", (text) => expect(asksForPerson(text)).toBe(false));

  it("a name becomes its initials", () => {
    expect(["Anna", "anna berg", "Łukasz van Dyk", "أحمد علي", " "].map(initials)).toEqual([
      "A",
      "AB",
      "ŁD",
      "أع",
      "",
    ]);
  });
});
