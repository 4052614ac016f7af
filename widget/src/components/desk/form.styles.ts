/** Fields and buttons of the desk's forms: the operators, and the canned replies. */
import { css } from "../../theme/stylesheet";

export const formStyles = css`
:host { display: block; }
*, *::before, *::after { box-sizing: border-box; margin: 0; padding: 0; }
:focus-visible { outline: 2px solid var(--_accent); outline-offset: 2px; }
label { display: grid; gap: 4px; font-size: .92em; }
button, input, select, textarea { font: inherit; color: inherit; min-height: 40px; padding: 0 12px; border: 1px solid var(--_border); border-radius: 10px; background: var(--_surface-raised); }
button { cursor: pointer; white-space: nowrap; }
button:hover { background: var(--_surface-sunken); }
.strong, .strong:hover { border-color: transparent; background: var(--_primary); color: var(--_on-primary); font-weight: 650; }
`;
