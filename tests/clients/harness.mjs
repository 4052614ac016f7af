/** What the scripts of all clients share: their orders come as JSON on the command line, their results go to stdout. */

const LOST = "network connection lost";

export async function run(script) {
  // AG-UI's client reports a lost connection, and leaves the same rejection unhandled besides.
  process.on("unhandledRejection", (error) => {
    if (error.message !== LOST) throw error;
  });
  const results = await script(JSON.parse(process.argv[2]));
  process.stdout.write(JSON.stringify(results), () => process.exit(0));
}

/**
 * A fetch whose first response breaks off, as a lost connection does, before the server-sent event number `cut`; with
 * undefined, never. The events' ids are added to `ids`.
 */
export function cutting(cut = Infinity, ids = []) {
  return async (address, options) => {
    const response = await fetch(address, options);
    if (!response.ok || !response.body) return response;
    const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
    let [kept, seen] = ["", 0];
    const body = new ReadableStream({
      async pull(controller) {
        while (true) {
          const end = kept.indexOf("\n\n");
          if (end >= 0) {
            if (seen++ >= cut) {
              cut = Infinity;
              void reader.cancel();
              // Clients hand on what came before in tasks of their own, which an error would overtake.
              await new Promise((resolve) => setTimeout(resolve, 50));
              return controller.error(new TypeError(LOST));
            }
            const event = kept.slice(0, end + 2);
            ids.push(...[...event.matchAll(/^id: (.*)$/gm)].map(([, id]) => id));
            controller.enqueue(new TextEncoder().encode(event));
            kept = kept.slice(end + 2);
            return;
          }
          const { done, value } = await reader.read();
          if (done) return controller.close();
          kept += value;
        }
      },
    });
    return new Response(body, { status: response.status, headers: response.headers });
  };
}
