import { expect, test } from "vitest";
import type { ApiError } from "./api";
import { createApi } from "./api";

const answering = (status: number, body: string, headers: Record<string, string> = {}) => {
  const calls: { url: string; init: RequestInit }[] = [];
  const api = createApi("https://svc.test/", async (url, init) => {
    calls.push({ url, init: init! });
    return new Response(body, { status, headers });
  });
  return { api, calls };
};

test("the session goes in the Authorization header, without cookies, referrer or redirects", async () => {
  const { api, calls } = answering(200, '{"status":"active"}');
  await api.status("ses_secret");
  expect(calls[0]!.url).toBe("https://svc.test/api/session/me");
  expect(calls[0]!.init).toMatchObject({
    credentials: "omit",
    referrerPolicy: "no-referrer",
    redirect: "error",
    cache: "no-store",
  });
  expect(new Headers(calls[0]!.init.headers).get("Authorization")).toBe("Bearer ses_secret");
});

test("a problem becomes an error with the contract's code and the seconds to wait", async () => {
  const { api } = answering(
    429,
    '{"success":false,"code":"rate_limited","detail":"Slow down","retryable":true}',
    { "Retry-After": "7" },
  );
  await expect(api.status("s")).rejects.toMatchObject({
    code: "rate_limited",
    status: 429,
    retryAfter: 7,
    retryable: true,
    message: "Slow down",
  });
});

test("a Retry-After may be a date", async () => {
  const { api } = answering(503, "{}", {
    "Retry-After": new Date(Date.now() + 20_000).toUTCString(),
  });
  const error = (await api.status("s").catch((caught: ApiError) => caught)) as ApiError;
  expect(error.retryAfter).toBeGreaterThan(17);
  expect(error.retryAfter).toBeLessThan(22);
});

test("a proxy's page instead of a problem is an error all the same", async () => {
  const { api } = answering(502, "<html>Bad gateway</html>");
  await expect(api.status("s")).rejects.toMatchObject({ code: "http_502", retryable: true });
});

test("no answer at all is a network error, which may be tried again", async () => {
  const api = createApi("https://svc.test/", async () => {
    throw new TypeError("Failed to fetch");
  });
  await expect(api.status("s")).rejects.toMatchObject({
    code: "network",
    isNetwork: true,
    retryable: true,
  });
});

test("the place in the feed goes in a header, so that the address stays the same", async () => {
  const { api, calls } = answering(200, "");
  await api.events("s", "7-abc", new AbortController().signal);
  expect(calls[0]!.url).toBe("https://svc.test/api/session/me/events");
  expect(new Headers(calls[0]!.init.headers).get("Last-Event-ID")).toBe("7-abc");
});

test("a 404 of what lies between is no word on the session, and may pass; the service's own is one", async () => {
  for (const body of [
    "<html>Not found</html>",
    '{"status":"error","code":404,"message":"Application not found"}',
    "",
  ]) {
    const { api } = answering(404, body);
    await expect(api.status("s")).rejects.toMatchObject({
      code: "http_404",
      isGone: false,
      retryable: true,
    });
  }
  const own = (code: string) =>
    answering(404, `{"success":false,"code":"${code}","status":404,"retryable":false}`).api.status(
      "s",
    );
  await expect(own("session_not_found")).rejects.toMatchObject({ isGone: true, retryable: false });
  await expect(own("not_found")).rejects.toMatchObject({ isGone: false, retryable: false });
});
