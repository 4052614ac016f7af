/** Keeps one feed of a conversation open: reads frames, notices silence, and comes back with the last id it saw. */
import { ApiError } from "./api";
import { createParser, type Frame } from "./sse-parser";

export interface SseHandlers {
  /** Opens the feed from after `cursor`; rejects with an ApiError. */
  connect(cursor: string, signal: AbortSignal): Promise<Response>;
  cursor(): string;
  onFrame(frame: Frame): void;
  /** The feed delivers data ("open"), is reconnecting ("trying"), or is held back by a proxy ("buffered"). */
  onState(state: "open" | "trying" | "buffered"): void;
  /** The session is gone, or is not ours any more: the feed has ended for good. */
  onRefused(error: ApiError): void;
}

/** Times in ms. */
export interface Timing {
  idleTimeout: number;
  minDelay: number;
  maxDelay: number;
  random: () => number;
  now: () => number;
}
const BACKOFF: Timing = {
  idleTimeout: 20_000,
  minDelay: 400,
  maxDelay: 15_000,
  random: Math.random,
  now: Date.now,
};

export interface SseConnection {
  stop(): void;
  /** Leaves this connection for another, from the cursor as it is now. */
  reconnect(): void;
  /** The page woke up: reconnects at once unless the feed is clearly alive. */
  wake(): void;
}

export function connectSse(source: SseHandlers, timing: Partial<Timing> = {}): SseConnection {
  const { idleTimeout, minDelay, maxDelay, random, now } = { ...BACKOFF, ...timing };
  let stopped = false,
    failures = 0,
    receivedAt = 0;
  let current: AbortController | null = null;
  let skipBackoff: (() => void) | null = null;

  async function run(): Promise<void> {
    while (!stopped) {
      let wait: number;
      try {
        const hasData = await connectOnce();
        // The service closed it in order (a deploy, the time limit of a feed): soon, but not all clients at the same moment.
        wait = hasData ? random() * minDelay : backoff();
      } catch (error) {
        if (stopped) return;
        const { isDenied, retryAfter = 0 } = error as ApiError;
        if (isDenied) {
          stopped = true;
          source.onRefused(error as ApiError);
          return;
        }
        wait = Math.max(backoff(), retryAfter * 1000);
      }
      if (stopped) return;
      source.onState("trying");
      await pause(wait);
    }
  }

  /** One connection, to its end. True when it carried at least one byte. */
  async function connectOnce(): Promise<boolean> {
    const controller = (current = new AbortController());
    receivedAt = now();
    let hasData = false;
    // A wall clock, for timers stand still while a laptop sleeps.
    const watch = setInterval(
      () => {
        if (now() - receivedAt >= idleTimeout) controller.abort();
      },
      Math.min(1000, idleTimeout / 4),
    );
    try {
      const response = await source.connect(source.cursor(), controller.signal);
      const reader = response.body!.getReader();
      const decoder = new TextDecoder();
      const parse = createParser(source.onFrame);
      for (;;) {
        const { done, value } = await abortable(reader, controller.signal);
        if (stopped || done) break;
        receivedAt = now();
        if (!hasData) {
          hasData = true;
          failures = 0;
          source.onState("open");
        }
        parse(decoder.decode(value, { stream: true }));
      }
      return hasData;
    } catch (error) {
      if (controller.signal.aborted && !hasData && !stopped) source.onState("buffered");
      throw error;
    } finally {
      clearInterval(watch);
      controller.abort();
      if (current === controller) current = null;
    }
  }

  const backoff = () => Math.min(maxDelay, minDelay * 2 ** failures++) * (0.5 + random() / 2);

  function pause(ms: number): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(done, ms);
      function done() {
        clearTimeout(timer);
        skipBackoff = null;
        resolve();
      }
      skipBackoff = done;
    });
  }

  void run();
  return {
    stop() {
      stopped = true;
      current?.abort();
      skipBackoff?.();
    },
    reconnect() {
      current?.abort();
    },
    wake() {
      if (skipBackoff) {
        failures = 0;
        skipBackoff();
      }
      // After so long without a ping the connection may have died while the page slept.
      else if (current && now() - receivedAt > idleTimeout * 0.8) current.abort();
    },
  };
}

/** A read that ends with the signal even where the platform's stream does not. */
function abortable(
  reader: ReadableStreamDefaultReader<Uint8Array>,
  signal: AbortSignal,
): Promise<ReadableStreamReadResult<Uint8Array>> {
  return new Promise((resolve, reject) => {
    const stop = () => {
      reader.cancel().catch(() => {});
      reject(new ApiError("network", 0, "Silent", true));
    };
    if (signal.aborted) return stop();
    signal.addEventListener("abort", stop, { once: true });
    reader
      .read()
      .then(resolve, reject)
      .finally(() => signal.removeEventListener("abort", stop));
  });
}
