/** What is fetched when there is a first message to show: the list of messages, Markdown, the dialogs, and their looks. */
import { messageStyles } from "./elements/message-styles";
import { proseStyles } from "./elements/prose-styles";

export { Announcer } from "./elements/announcer";
export { dialog } from "./elements/dialog";
export { LogView } from "./elements/log";
export const talkStyles = [messageStyles, proseStyles];
