/** Watches a question that gets no answer: reads the history again, and offers Retry. In the messages chunk. */
import type { Message } from "../types";
import { isWithPeople } from "./reducer";
import { lastStored, type ConversationStore } from "./store";

/** The form of the client ids made here: a stored question with another id was not asked by this widget. */
const CLIENT_ID = /^q\.[a-z0-9]{20}$/;
/** A stored question may be asked again after so long without an answer, in ms. */
const UNANSWERED_MS = 3_000;
/** ms to wait for the feed to report that another tab's turn blocked this question. */
const OTHER_TAB_MS = 2_000;
/** How often, and in what distance, the history is read for the answer to a question that the service took. */
const CHECKS = 7,
  CHECK_MS = 5_000;

/** A question asked by this widget, and no reply to a person. */
const isToAssistant = (messages: readonly Message[], question: Message) =>
  CLIENT_ID.test(question.client_id ?? "") && !messages[messages.indexOf(question) - 1]?.author;

/** `sync` reads the history again. Returns how to stop watching. */
export function createAnswerWatchdog(
  store: ConversationStore,
  sync: () => Promise<unknown>,
): () => void {
  let unanswered = "",
    waiting = "",
    toPeople: string | undefined;
  let retryTimer: ReturnType<typeof setTimeout> | undefined, waitTimer: typeof retryTimer;

  /** The id of a stored question that nobody answers; empty where there is none, and where it was for people. */
  function unansweredQuestion(): string {
    const { transcript, waiting, feedDown } = store.state;
    const last = lastStored(store.state);
    if (isWithPeople(store.state)) toPeople = last?.id;
    if (transcript.turn || waiting || feedDown || last?.role !== "user") return "";
    return isToAssistant(transcript.messages, last) && last.id !== toPeople ? last.id : "";
  }

  /** The feed may have missed the answer, or there is none: the history knows. */
  function checkUnanswered(left: number): void {
    waitTimer = setTimeout(async () => {
      const before = waiting;
      await sync().catch(() => {});
      if (before !== waiting) return;
      if (left > 1) checkUnanswered(left - 1);
      else store.dispatch({ type: "noAnswer" });
    }, CHECK_MS);
  }

  const waitForOtherTab = () => {
    waitTimer = setTimeout(() => store.dispatch({ type: "unblocked" }), OTHER_TAB_MS);
  };

  function watchStored(): void {
    const question = unansweredQuestion();
    if (question === unanswered) return;
    unanswered = question;
    clearTimeout(retryTimer);
    if (question)
      retryTimer = setTimeout(
        () => store.dispatch({ type: "unanswered", value: question }),
        UNANSWERED_MS,
      );
  }

  function watchWaiting(): void {
    const { transcript, waiting: phase, lastClientId } = store.state;
    const now = transcript.turn ? "" : phase && phase + lastClientId;
    if (now === waiting) return;
    waiting = now;
    clearTimeout(waitTimer);
    if (now.startsWith("accepted")) checkUnanswered(CHECKS);
    if (now.startsWith("blocked")) waitForOtherTab();
  }

  const update = () => {
    watchStored();
    watchWaiting();
  };
  const unsubscribe = store.subscribe(update);
  update();
  return () => {
    unsubscribe();
    clearTimeout(retryTimer);
    clearTimeout(waitTimer);
  };
}
