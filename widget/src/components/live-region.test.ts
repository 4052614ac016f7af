import { describe, expect, it } from "vitest";
import { LiveRegionAnnouncer, toSpeechText } from "./live-region";

/** An announcer with a clock of its own; `announced` is every text that was ever put into the region. */
function listen() {
  const announced: string[] = [];
  const region = document.createElement("div");
  const append = region.append.bind(region);
  region.append = (...nodes: (Node | string)[]) => {
    announced.push((nodes[0] as HTMLElement).textContent!);
    append(...nodes);
  };
  const clock = { now: 0, due: [] as { at: number; run: () => void }[] };
  const announcer = new LiveRegionAnnouncer(
    region,
    () => clock.now,
    (run, ms) => {
      clock.due.push({ at: clock.now + ms, run });
      return 0 as unknown as ReturnType<typeof setTimeout>;
    },
  );
  const pass = (ms: number): void => {
    clock.now += ms;
    for (const due of clock.due.splice(0))
      if (due.at <= clock.now) due.run();
      else clock.due.push(due);
  };
  return { announcer, announced, pass, region };
}

const ANSWER =
  "A session lives **24 hours** after its last activity [1]. You can change that. Set `TTL`, then restart the service.\n\n- No data is lost\n- Feeds come back\n\nThat is all there is to say about it.";

describe("the live region", () => {
  it("reads every word once, in order, and at most once per two tokens", () => {
    for (const pace of [1, 30, 400, 2000]) {
      const { announcer, announced, pass } = listen();
      const tokens = ANSWER.match(/\S+\s*/g)!;
      let text = "";
      for (const token of tokens) {
        announcer.update("t1", (text += token));
        pass(pace);
      }
      announcer.finish(ANSWER);
      expect(announced.join(" "), `at ${pace} ms`).toBe(toSpeechText(ANSWER));
      expect(announced.length).toBeLessThanOrEqual(tokens.length / 2);
    }
  });

  it("reads whole sentences while an answer runs", () => {
    const { announcer, announced, pass } = listen();
    announcer.update("t1", "The first");
    pass(5000);
    announcer.update("t1", "The first sentence is here. The sec");
    pass(5000);
    announcer.update("t1", "The first sentence is here. The second is not");
    pass(5000);
    expect(announced).toEqual(["The first sentence is here."]);
  });

  it("says nothing twice when the stored answer replaces the streamed one", () => {
    const { announcer, announced, pass } = listen();
    announcer.update("t1", "One two three four. ");
    pass(2000);
    announcer.update("t1", "One two three four. Five six seven. ");
    announcer.finish("One two three four. Five six seven. ");
    announcer.finish("One two three four. Five six seven. ");
    expect(announced.join(" ")).toBe("One two three four. Five six seven.");
  });

  it("does not keep what it said for ever", () => {
    const { announcer, region } = listen();
    for (let n = 0; n < 50; n++) announcer.announce(`Message number ${n}.`);
    expect(region.childElementCount).toBeLessThan(10);
  });

  it("reads Markdown without its marks", () => {
    expect(
      toSpeechText(
        "## Title\n\n**Bold** [link](https://x.y) [1], `code`.\n\n```py\nx\n```\n| a | b |\n|---|---|",
      ),
    ).toBe("Title Bold link, code. x a b");
  });
});
