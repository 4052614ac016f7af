/** Takes the session out of the address and the history entry; imported first, so that it runs before all else. */

function takeTicket(): string | undefined {
  const url = new URL(location.href);
  const found = url.searchParams.get("session");
  if (found === null) return undefined;
  url.searchParams.delete("session");
  history.replaceState(history.state, "", url.pathname + url.search + url.hash);
  return found.trim() || undefined;
}

/** The id or ticket that this page was opened with. */
export const ticketFromUrl: string | undefined = takeTicket();
