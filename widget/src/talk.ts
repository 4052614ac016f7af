/** What is fetched when there is a first message to show: the list of messages, Markdown, the dialogs, and their looks. */
import { messageStyles } from "./elements/message-styles";
import { proseStyles } from "./elements/prose-styles";

export { Announcer } from "./elements/announcer";
/** The English words that are needed here alone; the build leaves them out of the panel. */
export { default as words } from "./words/en.json";
export { dialog } from "./elements/dialog";
export { LogView } from "./elements/log";
export const talkStyles = [messageStyles, proseStyles];
