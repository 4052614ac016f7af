/** How an operator sees the messages: the visitor by name, colleagues by theirs, and their own as "You". */
import type { Language } from "../../locales/i18n";
import type { DeskState } from "../../state/desk-reducer";
import type { Message, Options } from "../../types";
import type { MessageReader } from "../message";
import { nameOfVisitor } from "./host";

export interface ReaderDeps {
  readonly words: Language;
  readonly options: Options;
  readonly desk: { readonly state: DeskState };
}

export function createReader(deps: ReaderDeps): MessageReader {
  const isMe = (name: string | undefined) =>
    name !== undefined && name === deps.desk.state.me?.name;
  const called = (name: string | undefined) => (name && !isMe(name) ? name : deps.words.t("you"));

  function visitor(): string {
    const { opened } = deps.desk.state;
    return nameOfVisitor(opened?.row ?? null, opened?.ref ?? "", deps.words);
  }

  return {
    nameOf({ role, author }) {
      const { t } = deps.words;
      if (role === "user") return visitor();
      if (role === "note")
        return isMe(author) ? t("desk.noteByMe") : t("desk.noteBy", { name: author ?? "" });
      if (role === "system") return t("notice");
      return author ? called(author) : botName(deps);
    },
    kindOf({ role, author }) {
      if (role === "assistant") return author ? "operator" : "bot";
      return role === "user" ? "visitor" : role;
    },
    isOwn: ({ author }) => isMe(author),
    notesOf: (message) => notesOf(message, deps.words),
  };
}

/** The name that the site gave the bot; the default is said in the operator's language. */
export function botName({ options, words }: Pick<ReaderDeps, "options" | "words">): string {
  const given = options.assistantName;
  return given && given !== "Assistant" ? given : words.t("assistant");
}

/** What the visitor thought of an answer, and whether the bot knew one. */
function notesOf({ metadata }: Message, { t }: Language): string[] {
  const { rating, comment } = (metadata["feedback"] ?? {}) as Record<string, unknown>;
  const notes: string[] = [];
  if (rating === "up" || rating === "down") notes.push(t(`desk.rated.${rating}`));
  if (typeof comment === "string" && comment) notes.push(comment);
  if (metadata["not_found"] === true) notes.push(t("desk.notFound"));
  return notes;
}
