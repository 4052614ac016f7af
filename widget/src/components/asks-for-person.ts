/** Whether a visitor's words ask for a person, in the languages of the widget and two more. The gaps are bounded, so it is linear. */
const GAP = "[^.?!؟\\n]{0,40}";
const PATTERNS = [
  `\\b(?:talk|speak|chat|connect|contact|reach|transfer|want|need|get)\\b${GAP}\\b(?:person|human|agent|operator|representative|somebody|someone|employee|colleague)\\b`,
  `\\b(?:real|live|actual)\\s+(?:person|human|agent)\\b`,
  `\\b(?:mensch(?:en)?|mitarbeiter(?:in)?|person|berater(?:in)?|jemand(?:em|en)?)\\b${GAP}\\b(?:sprechen|reden|schreiben|chatten|verbinden|verbunden)\\b`,
  `\\b(?:echte[rn]?|richtige[rn]?)\\s+(?:mensch(?:en)?|person)\\b`,
  `(?:[أا]تحدث|التحدث|[أا]كلم|التكلم|التواصل|تحويلي)${GAP}(?:شخص|موظف|[إا]نسان|بشر|مندوب|[أا]حد)`,
  `\\bparler\\b${GAP}\\b(?:quelqu|humain|personne|conseiller|agent)`,
  `\\bhablar\\b${GAP}\\b(?:persona|humano|agente|alguien)\\b`,
].map((one) => new RegExp(one, "i"));

export const asksForPerson = (text: string): boolean =>
  PATTERNS.some((pattern) => pattern.test(text.slice(0, 500)));
