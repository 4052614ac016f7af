/** What is fetched with a conversation: the list of messages, Markdown, dialogs, their styles, the actions, and the live feed. */
import { messageStyles } from "./components/message.styles";
import { proseStyles } from "./components/prose.styles";

export { LiveRegionAnnouncer } from "./components/live-region";
/** The English words that are needed here alone; the build leaves them out of the panel. */
export { default as words } from "./locales/en.json";
export { askToEnd, dialog } from "./components/dialog";
export { copyLink, downloadTranscript } from "./components/share";
export { createAnswerWatchdog } from "./state/answer-watchdog";
export { createLiveFeed } from "./state/live-feed";
export { createActions } from "./state/actions";
export { MessageList } from "./components/message-list";
export const messagesStyles = [messageStyles, proseStyles];
