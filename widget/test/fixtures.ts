/** A service and a browser, new for each test, and helpers for the tests of conversations. */
import { afterEach, beforeEach } from "vitest";
import type { State } from "../src/types";
import { FakeService } from "./fake-service";
import { Browser, until } from "./tab";

export let service: FakeService, browser: Browser;
beforeEach(() => {
  service = new FakeService();
  browser = new Browser(service);
});
afterEach(() => browser.close());

export const only = () => [...service.sessions.values()].at(-1)!;
export const texts = (state: State) => state.messages.map((one) => one.content);
export const answer = (text: string, session = only()) => {
  for (const word of text.split(/(?<= )/)) service.delta(session, word);
  service.finish(session);
};
export const rested = async (tab: { state: State }) =>
  until(() => !tab.state.waiting && !tab.state.answering, tab);

/** A tab that has shown what it begins with. */
export async function opened(...given: Parameters<Browser["tab"]>) {
  const tab = browser.tab(...given);
  await tab.ready;
  return tab;
}

/** A tab in which a question was sent, whatever became of it. */
export async function sent(text = "Hello?", tab = browser.tab()) {
  await tab.ready;
  await tab.conversation.send(text);
  return tab;
}

/** A tab whose question is being answered. */
export async function asked(text = "Hello?", tab = browser.tab()) {
  await sent(text, tab);
  await until(() => tab.state.answering, tab);
  return tab;
}

/** A tab in which somebody has asked and been answered. */
export async function answered(tab = browser.tab(), text = "Hello?") {
  await asked(text, tab);
  answer("Good day.");
  await rested(tab);
  return tab;
}

/** The states of nine tabs that were open before the first question, after its answer. */
export async function nineTabs(): Promise<State[]> {
  const tabs = Array.from({ length: 9 }, () => browser.tab());
  await Promise.all(tabs.map((tab) => tab.ready));
  await asked("Hello?", tabs[0]);
  await until(
    () => tabs.every((tab) => texts(tab.state).includes("Hello?")),
    () => tabs.map((tab) => tab.state),
  );
  answer("Good day to all of you.");
  for (const tab of tabs)
    await until(() => texts(tab.state).length === 2 && !tab.state.answering, tab);
  return tabs.map((tab) => tab.state);
}
