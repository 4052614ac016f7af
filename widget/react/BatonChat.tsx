/** Baton in a React app: puts the script in once, hands the options on, and takes the widget away with the component. */
import { useEffect, useRef } from "react";

export interface BatonProps {
  /** Where the service runs, e.g. "https://chat.example.com". */
  service: string;
  color?: string;
  position?: "bottom-right" | "bottom-left";
  title?: string;
  greeting?: string;
  suggestions?: string[];
  theme?: "auto" | "light" | "dark";
  lang?: string;
  sessionKey?: string;
  sessionScope?: "browser" | "tab" | "page";
  sessionExpiry?: number;
  heartbeatInterval?: number;
  autoRestore?: boolean;
  chatUrl?: string;
  offset?: string;
  onOpen?(): void;
  onClose?(): void;
  onMessage?(message: { id: string; role: string; content: string; created_at: string }): void;
  onSession?(session: { status: string }): void;
}

interface Baton {
  init(options?: object): void;
  destroy(): void;
  on(event: string, hear: (detail: any) => void): () => void;
}

const scripts = new Map<string, Promise<void>>();

function load(service: string): Promise<void> {
  const src = `${service.replace(/\/+$/, "")}/widget.js`;
  const known = scripts.get(src);
  if (known) return known;
  const loading = new Promise<void>((resolve, reject) => {
    const script = document.createElement("script");
    script.src = src;
    script.onload = () => resolve();
    script.onerror = () => {
      scripts.delete(src);
      reject(new Error("Baton could not be loaded"));
    };
    document.head.append(script);
  });
  scripts.set(src, loading);
  return loading;
}

export function BatonChat({
  service,
  onOpen,
  onClose,
  onMessage,
  onSession,
  ...options
}: BatonProps): null {
  const hear = useRef({ onOpen, onClose, onMessage, onSession });
  hear.current = { onOpen, onClose, onMessage, onSession };
  // The same options in a new object are no change.
  const given = JSON.stringify(options);

  useEffect(() => {
    let over = false;
    const stops: (() => void)[] = [];
    load(service).then(
      () => {
        const baton = (window as unknown as { Baton?: Baton }).Baton;
        if (over || !baton) return;
        stops.push(
          baton.on("open", () => hear.current.onOpen?.()),
          baton.on("close", () => hear.current.onClose?.()),
          baton.on("message", (detail) => hear.current.onMessage?.(detail)),
          baton.on("session", (detail) => hear.current.onSession?.(detail)),
          () => baton.destroy(),
        );
        baton.init(JSON.parse(given) as object);
      },
      (error) => console.warn(error),
    );
    return () => {
      over = true;
      for (const stop of stops) stop();
    };
  }, [service, given]);

  return null;
}
