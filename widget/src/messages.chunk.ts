/** What is fetched when there is a first message to show: the list of messages, Markdown, the dialogs, and their looks. */
import { messageStyles } from "./components/message.styles";
import { proseStyles } from "./components/prose.styles";

export { LiveRegionAnnouncer } from "./components/live-region";
/** The English words that are needed here alone; the build leaves them out of the panel. */
export { default as words } from "./locales/en.json";
export { dialog } from "./components/dialog";
export { createMessageActions } from "./state/message-actions";
export { MessageList } from "./components/message-list";
export const messagesStyles = [messageStyles, proseStyles];
