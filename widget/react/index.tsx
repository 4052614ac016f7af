"use client";
/** `<ChatWidget>` for React 18 and 19: Baton's chat in the corner, or inline. Renders on a server, too. */
import {
  createElement,
  forwardRef,
  useEffect,
  useImperativeHandle,
  useRef,
  type CSSProperties,
} from "react";
import {
  dataAttributes,
  mountInline,
  mountLauncher,
  serializeOptions,
  type ChatHandle,
  type ChatMessage,
  type ChatOptions,
  type ChatSession,
  type MountedChat,
} from "../shared/chat-widget.js";

export type {
  ChatHandle,
  ChatMessage,
  ChatOptions,
  ChatSession,
  UserToken,
} from "../shared/chat-widget.js";

export interface ChatWidgetProps extends ChatOptions {
  /** The conversation itself, where the component stands, instead of a launcher in the corner. */
  inline?: boolean;
  /** The panel was opened or closed. */
  onOpen?: () => void;
  onClose?: () => void;
  /** A message is new in the conversation: a question, or a whole answer. */
  onMessage?: (message: ChatMessage) => void;
  /** The conversation has another status. */
  onSession?: (session: ChatSession) => void;
  /** Inline: the class and style of the element, which is as high as its box. */
  className?: string;
  style?: CSSProperties;
}

export const ChatWidget = forwardRef<ChatHandle, ChatWidgetProps>(function ChatWidget(props, ref) {
  const { inline = false, className, style } = props;
  const latest = useRef(props);
  const element = useRef<HTMLElement>(null);
  const mounted = useRef<MountedChat | null>(null);
  const serialized = serializeOptions(props);
  const shown = useRef(serialized);

  useEffect(() => {
    latest.current = props;
  });

  useEffect(() => {
    const events = {
      open: () => latest.current.onOpen?.(),
      close: () => latest.current.onClose?.(),
      message: (message: ChatMessage) => latest.current.onMessage?.(message),
      session: (session: ChatSession) => latest.current.onSession?.(session),
    };
    const chat = inline
      ? mountInline(element.current!, latest.current, events)
      : mountLauncher(latest.current, events);
    mounted.current = chat;
    shown.current = serializeOptions(latest.current);
    return () => {
      mounted.current = null;
      chat.unmount();
    };
  }, [inline]);

  useEffect(() => {
    if (shown.current === serialized) return;
    shown.current = serialized;
    mounted.current?.update(latest.current);
  }, [serialized]);

  useImperativeHandle(
    ref,
    () => ({
      open: () => mounted.current?.open(),
      close: () => mounted.current?.close(),
      end: () => mounted.current?.end(),
      identify: (token) => mounted.current?.identify(token),
      reset: () => mounted.current?.reset(),
    }),
    [],
  );

  if (!inline) return null;
  return createElement("baton-chat", {
    ref: element,
    class: className,
    style,
    // The element sets attributes of its own when it is there before React.
    suppressHydrationWarning: true,
    ...dataAttributes(props),
  });
});
