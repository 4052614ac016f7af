/** What the tests of components show: a conversation at rest, its messages, and the element with them. */
import { expect, vi } from "vitest";
import type { BatonChat } from "../src/components/chat";
import type { Conversation, Message, State } from "../src/types";

export const AT_REST: State = {
  status: "active",
  messages: [],
  answering: null,
  waiting: false,
  canRetry: false,
  notice: null,
  connection: "online",
  wait: 0,
  hasOlder: false,
  loading: false,
  openedBySharedLink: false,
  returnedDraft: null,
};

let count = 0;
export const message = (
  role: Message["role"],
  content: string,
  more: Partial<Message> = {},
): Message => ({
  id: `m${++count}`,
  role,
  content,
  metadata: {},
  created_at: "2026-01-31T12:00:00.000Z",
  ...more,
});

/** `<baton-chat>` with this conversation, once it is rendered. */
export async function mountChat(conversation: Conversation, options: BatonChat["options"]) {
  const chat = document.createElement("baton-chat") as BatonChat;
  Object.assign(chat, { conversation, options, variant: "panel" });
  document.body.append(chat);
  const root = chat.shadowRoot!;
  const button = (name: string) =>
    [...root.querySelectorAll<HTMLButtonElement>("button")].find(
      (one) =>
        (one.getAttribute("aria-label") ?? one.textContent.trim()) === name &&
        !one.closest("[hidden]"),
    );
  await vi.waitFor(() => expect(root.querySelector(".chat")).not.toBe(null));
  return { chat, root, button };
}
