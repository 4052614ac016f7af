/** The questions that the service has not taken, as the tab remembers them: sent again after a reload, or held for Retry. */
import type { Question } from "./outbox";
import type { BrowserStorage, StoredQuestion } from "../client/browser-storage";
import type { Message } from "../types";

export const others = (store: BrowserStorage, client_id: string) => store.unsent.filter((one) => one.client_id !== client_id);

/** `held`: refused, so that it is not sent again by itself. */
export function keep(store: BrowserStorage, { client_id, text, at }: Question, held = false): void {
  store.unsent = [...others(store, client_id), { client_id, text, at, ...(held ? { held } : {}) }];
}

/** What is remembered and not among these messages of the service. */
export function missing(store: BrowserStorage, messages: readonly Message[]): StoredQuestion[] {
  const { unsent } = store;
  const rest = unsent.filter((one) => !messages.some((each) => each.client_id === one.client_id));
  if (rest.length < unsent.length) store.unsent = rest;
  return rest;
}
