/** What is fetched when there is a first answer to read: Markdown as nodes, and its looks. */
export { MarkdownView } from "./markdown-stream";
export { proseStyles } from "./elements/prose-styles";
