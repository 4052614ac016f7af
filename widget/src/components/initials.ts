/** The letters that stand for a person: of the first and the last word of the name. */
export function initials(name: string): string {
  const words = name.trim().split(/\s+/);
  const [first = ""] = words[0]!;
  const [last = ""] = words.length > 1 ? words.at(-1)! : "";
  return (first + last).toLocaleUpperCase();
}
