import { expect, test } from "vitest";
import { ApiError } from "./api";
import type { Frame } from "./sse-parser";
import { connectSse } from "./sse-connection";
import { until } from "../../test/tab";

type Out = ReadableStreamDefaultController<Uint8Array>;
const text = new TextEncoder();

/** A feed on connections that the test opens, fills and drops. */
function rig(connect?: (n: number) => Promise<Response> | null) {
  const outs: Out[] = [],
    asked: string[] = [],
    states: string[] = [],
    frames: Frame[] = [],
    refused: ApiError[] = [];
  let cursor = "";
  const feed = connectSse(
    {
      connect: async (at, signal) => {
        asked.push(at);
        const other = connect?.(asked.length);
        if (other) return other;
        return new Response(
          new ReadableStream<Uint8Array>({
            start: (out) => {
              outs.push(out);
              signal.addEventListener("abort", () => {
                try {
                  out.error(new Error("aborted"));
                } catch {
                  /* closed */
                }
              });
            },
          }),
        );
      },
      cursor: () => cursor,
      onFrame(frame) {
        frames.push(frame);
        if (frame.id) cursor = frame.id;
      },
      onState: (state) => states.push(state),
      onRefused: (error) => refused.push(error),
    },
    { minDelay: 5, maxDelay: 40, idleTimeout: 120 },
  );
  return {
    feed,
    outs,
    asked,
    states,
    frames,
    refused,
    say: (n: number, data: string) => outs[n]!.enqueue(text.encode(data)),
  };
}

test("a connection that ends is taken up again from the last id", async () => {
  const { feed, outs, asked, frames, say } = rig();
  await until(() => outs.length === 1);
  say(0, "id: 7\ndata: a\n\nevent: ping\ndata: {}\n\n");
  await until(() => frames.length === 2);
  outs[0]!.close();
  await until(() => outs.length === 2);
  expect(asked).toEqual(["", "7"]);
  feed.stop();
});

test("a connection that falls silent is given up and taken up again", async () => {
  const { feed, outs, asked, frames, say } = rig();
  await until(() => outs.length === 1);
  say(0, "id: 7\ndata: a\n\n");
  await until(() => frames.length === 1);
  await until(() => asked.length === 2);
  expect(asked).toEqual(["", "7"]);
  feed.stop();
});

test("a connection that never speaks is called mute", async () => {
  const { feed, states } = rig();
  await until(() => states.includes("buffered"));
  feed.stop();
});

test("while the service is away the feed tries again, and heals by itself", async () => {
  const { feed, outs, states } = rig((n) =>
    n < 5 ? Promise.reject(new ApiError("network", 0, "", true)) : null,
  );
  await until(() => outs.length === 1);
  outs[0]!.enqueue(text.encode(": hello\n\n"));
  await until(() => states.at(-1) === "open");
  feed.stop();
});

test("a session that is gone ends the feed for good", async () => {
  const { asked, refused } = rig(() => Promise.reject(new ApiError("session_not_found", 404, "")));
  await until(() => refused.length === 1);
  expect(asked).toHaveLength(1);
});

test("a page that wakes comes back at once instead of waiting out its pause", async () => {
  const asked: number[] = [];
  const feed = connectSse(
    {
      connect: () => {
        asked.push(Date.now());
        return Promise.reject(new ApiError("network", 0, "", true));
      },
      cursor: () => "",
      onFrame() {},
      onState() {},
      onRefused() {},
    },
    { minDelay: 60_000, maxDelay: 60_000 },
  );
  await until(() => asked.length === 1);
  await until(() => {
    feed.wake();
    return asked.length >= 2;
  });
  feed.stop();
});
