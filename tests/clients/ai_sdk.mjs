/** Drives the Vercel AI SDK's own Chat, which useChat wraps, and prints what it shows as JSON. */
import { Chat } from "@ai-sdk/react";
import { DefaultChatTransport } from "ai";
import { cutting, run } from "./harness.mjs";

const text = (message) =>
  message.parts
    .filter((part) => part.type === "text")
    .map((part) => part.text)
    .join("");

await run(async ({ url, session, header, id = "a-name-of-the-client", actions }) => {
  let chat;
  const results = [];
  const open = (cut, messages = []) => {
    const errors = [];
    chat = new Chat({
      id,
      messages,
      onError: (error) => errors.push(error.message),
      transport: new DefaultChatTransport({
        api: `${url}/api/ai-sdk/chat`,
        headers: header === false ? {} : { Authorization: `Bearer ${session}` },
        fetch: cutting(cut),
      }),
    });
    chat.errors = errors;
  };
  const asked = () => chat.messages.findLast((message) => message.role === "user");
  open();
  for (const action of actions) {
    if (action.open) open(action.cut, action.keep ? chat.messages : []);
    if (action.ask) await chat.sendMessage({ text: action.ask });
    if (action.resume) await chat.resumeStream();
    if (action.regenerate) await chat.regenerate(action.regenerate === "question" ? { messageId: asked().id } : {});
    if (action.edit) await chat.sendMessage({ text: action.edit, messageId: asked().id });
    if (action.stop) {
      const sent = chat.sendMessage({ text: action.stop });
      while (chat.status !== "streaming" || !text(chat.lastMessage)) await new Promise((resolve) => setTimeout(resolve, 10));
      await fetch(`${url}/api/session/me/stop`, { method: "POST", headers: { Authorization: `Bearer ${session}` } });
      await sent;
    }
    results.push({
      status: chat.status,
      errors: chat.errors,
      messages: chat.messages.map((message) => ({
        id: message.id,
        role: message.role,
        text: text(message),
        metadata: message.metadata,
        sources: message.parts.filter((part) => part.type === "source-url").map(({ url, title }) => ({ url, title })),
      })),
    });
  }
  return results;
});
