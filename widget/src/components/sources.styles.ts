/** Styles of the sources in the margin of a wide page: the messages stand where they stood, with sources or without. */
import { css } from "../theme/stylesheet";

export const asideStyles = css`
.aside { display: none; }
@container chat (min-width: 1240px) {
  .aside { display: block; position: absolute; inset-block: 61px 0; inset-inline-end: 14px; width: min(330px, (100% - 46rem) / 2 - 24px); overflow: auto; padding: 24px 2px; scrollbar-width: thin; }
  .aside h2 { font-size: .87em; font-weight: 650; color: var(--_text-muted); }
  .aside ol { list-style: none; display: grid; gap: 10px; margin-top: 12px; }
  .card { padding: 13px 15px 11px; border-radius: var(--_radius); background: var(--_surface-raised); border: 1px solid var(--_divider); font-size: .9em; }
  .card a { display: flex; gap: 10px; color: inherit; text-decoration: none; font-weight: 600; line-height: 1.4; padding-block: 4px; }
  .card a:hover .card-title { text-decoration: underline; text-underline-offset: 3px; color: var(--_accent); }
  .card b { color: var(--_accent); font-variant-numeric: tabular-nums; }
  .card p { margin-top: 4px; color: var(--_text-muted); display: -webkit-box; -webkit-box-orient: vertical; -webkit-line-clamp: 6; overflow: hidden; }
  .card .host { display: block; margin-top: 7px; font-size: .87em; color: var(--_text-muted); }
}
`;
