/** The full page: the conversation element alone, in a tab that keeps its own conversation. */
import { ticketFromUrl } from "./client/ticket-from-url";
import { createConversation } from "./state/conversation";
import { readOptions } from "./options";
import type { Conversation, Options } from "./types";
import "./page-chunks";
import "./components/chat";

// The script knows the service from its own tag: https://service/assets/page-<hash>.js
const script = document.currentScript as HTMLScriptElement | null;
const service = new URL(script?.src ? "../" : "/", script?.src || location.href).href;

type Element = HTMLElement & {
  conversation: Conversation;
  options: Options;
  variant: "panel" | "page";
  updateComplete: Promise<void>;
};

function mount(): void {
  const element = (document.querySelector("baton-chat") ??
    document.body.appendChild(document.createElement("baton-chat"))) as Element;
  if (element.conversation) return;
  const options = readOptions({ ...element.dataset });
  const apiUrl = options.apiUrl ?? service;
  const conversation = createConversation({ ...options, apiUrl }, { isFullPage: true });
  element.variant = "page";
  element.options = { ...options, apiUrl };
  element.conversation = conversation;
  conversation.setActive(true);
  void conversation.start(ticketFromUrl === undefined ? {} : { session: ticketFromUrl });
  // Whoever came here wants to write; a page around a frame keeps the focus.
  if (window.top === window && !matchMedia("(pointer: coarse)").matches)
    void element.updateComplete.then(
      () => document.activeElement === document.body && element.focus(),
    );
}

if (document.readyState === "loading")
  document.addEventListener("DOMContentLoaded", mount, { once: true });
else mount();
