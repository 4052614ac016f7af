/** Tab goes round among the fields and buttons as long as the dialog is open; Escape is heard by the chat. */
export function trapFocus(event: KeyboardEvent): void {
  if (event.key !== "Tab") return;
  const all = [
    ...(event.currentTarget as HTMLElement).querySelectorAll<HTMLElement>(
      "button, input, textarea",
    ),
  ];
  const index = all.indexOf(event.target as HTMLElement);
  const next = all[(index + (event.shiftKey ? -1 : 1) + all.length) % all.length];
  event.preventDefault();
  next?.focus();
}
