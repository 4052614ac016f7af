/** What the tests of components show: a conversation at rest, and its messages. */
import type { Message, State } from "../src/types";

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
