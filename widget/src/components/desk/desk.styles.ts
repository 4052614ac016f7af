/** Styles of the desk: views, list, conversation and details beside each other; one after the other on a phone. */
import { css } from "../../theme/stylesheet";

export const deskStyles = css`
:host { --_gutter: 20px; --_size: var(--baton-font-size, 14.5px); container: desk / inline-size; }
.desk { display: grid; grid-template-columns: 208px minmax(0, 1fr) auto; background: var(--_surface); overflow: hidden; }
a { color: inherit; }
small { font-size: .88em; }
kbd { font: inherit; font-size: .86em; font-weight: 600; min-width: 1.9em; padding: 1px 7px; border-radius: 6px; border: 1px solid var(--_divider); border-bottom-width: 2px; background: var(--_surface-raised); text-align: center; white-space: nowrap; }
.muted, .hint, .keys-hint { color: var(--_text-muted); font-size: .92em; }
.strong, .plain { display: inline-flex; align-items: center; justify-content: center; min-height: 36px; padding: 0 14px; border-radius: 10px; border: 1px solid var(--_divider); background: var(--_surface-raised); color: var(--_text); font-weight: 600; text-decoration: none; cursor: pointer; }
.plain:hover { border-color: var(--_border); background: var(--_surface-sunken); }
.strong { border-color: transparent; background: var(--_primary); color: var(--_on-primary); }
.strong:hover:not(:disabled) { filter: brightness(1.08); }
.strong:disabled { background: var(--_surface-sunken); color: var(--_text-muted); cursor: default; }
.strong.danger { background: var(--_error); color: var(--_surface); }
.icon-button { width: 40px; height: 40px; flex: none; }

.sidebar { display: flex; flex-direction: column; min-height: 0; padding: 18px 12px 12px; background: var(--_surface-sunken); border-inline-end: 1px solid var(--_divider); }
.brand { display: flex; align-items: center; margin-bottom: 18px; font-size: 1.1em; font-weight: 680; letter-spacing: -.012em; line-height: 1.3; }
.brand > span { min-width: 0; overflow: hidden; text-overflow: ellipsis; }
.views { flex: 1; min-height: 0; overflow: auto; }
.views ul { list-style: none; display: grid; gap: 2px; }
.views .apart { margin-top: 10px; padding-top: 10px; border-top: 1px solid var(--_divider); }
.view { display: flex; align-items: center; gap: 10px; min-height: 38px; padding: 0 10px; border-radius: 10px; text-decoration: none; color: var(--_text); }
.view .icon { width: 18px; height: 18px; color: var(--_text-muted); }
.view-name { flex: 1; min-width: 0; white-space: nowrap; overflow: hidden; text-overflow: ellipsis; }
.view:hover { background: color-mix(in oklab, var(--_accent) 9%, transparent); }
.view[aria-current] { background: var(--_surface-raised); font-weight: 650; box-shadow: inset 0 0 0 1px var(--_divider); }
.view[aria-current] .icon { color: var(--_accent); }
.count { min-width: 1.6em; padding: 0 5px; text-align: end; font-variant-numeric: tabular-nums; color: var(--_text-muted); font-size: .92em; }
.view.urgent .count { border-radius: 9px; background: var(--_primary); color: var(--_on-primary); text-align: center; font-weight: 650; }
.operator { border-top: 1px solid var(--_divider); padding-top: 8px; }
.operator-row { display: flex; align-items: center; gap: 8px; padding-inline-start: 10px; }
.operator-name { flex: 1; min-width: 0; line-height: 1.3; }
.operator-name small { display: block; color: var(--_text-muted); }
.switch { display: flex; align-items: center; justify-content: space-between; gap: 12px; width: 100%; min-height: 40px; padding: 0 10px; border: 0; border-radius: 10px; background: none; cursor: pointer; text-align: start; }
.switch:hover { background: color-mix(in oklab, var(--_accent) 9%, transparent); }
.switch i { position: relative; flex: none; width: 36px; height: 20px; border-radius: 10px; border: 1.5px solid var(--_border); background: var(--_surface-raised); }
.switch i::after { content: ""; position: absolute; inset-block: 2.5px; inset-inline-start: 3px; width: 12px; border-radius: 6px; background: var(--_text-muted); }
.switch[aria-checked=true] i { border-color: var(--_primary); background: var(--_primary); }
.switch[aria-checked=true] i::after { inset-inline-start: auto; inset-inline-end: 3px; background: var(--_on-primary); }

.work { display: grid; grid-template: auto minmax(0, 1fr) / minmax(264px, 340px) minmax(0, 1fr); min-width: 0; min-height: 0; }
.on-analytics .work { grid-template-columns: minmax(0, 1fr); }
.work > .notices { grid-column: 1 / -1; }
.work > .notices:has(.notice) { padding: 10px 12px 4px; }
.analytics { overflow: auto; padding: 20px 24px; }
.list-pane { display: flex; flex-direction: column; min-height: 0; border-inline-end: 1px solid var(--_divider); }
.list-head { padding: 16px 14px 10px; }
.list-head h2 { font-size: 1.1em; font-weight: 660; letter-spacing: -.012em; margin-bottom: 10px; padding-inline-start: 4px; }
.search { display: flex; align-items: center; gap: 8px; min-height: 38px; padding-inline: 11px; border: 1px solid var(--_divider); border-radius: 10px; background: var(--_surface-raised); }
.search:focus-within { border-color: var(--_accent); box-shadow: 0 0 0 1px var(--_accent); }
.search .icon { width: 17px; height: 17px; color: var(--_text-muted); }
.search input { flex: 1; min-width: 0; border: 0; outline: 0; background: none; font-size: max(1em, 14px); }
.list-body { flex: 1; min-height: 0; overflow: auto; padding: 0 8px 12px; scrollbar-width: thin; scrollbar-color: var(--_border) transparent; }
.rows { list-style: none; min-height: 1px; }
.rows li + li { margin-top: 1px; }
.row { position: relative; display: flex; gap: 11px; padding: 10px; border-radius: 12px; text-decoration: none; }
.row:hover { background: var(--_surface-sunken); }
.row[aria-current] { background: var(--_surface-sunken); }
.row[aria-current]::before { content: ""; position: absolute; inset-block: 10px; inset-inline-start: 0; width: 4px; border-radius: 2px; background: var(--_accent); }
.row:focus-visible { outline-offset: -2px; }
.avatar { position: relative; display: grid; place-items: center; flex: none; width: 36px; height: 36px; border-radius: 50%; background: var(--_surface-sunken); color: var(--_text-muted); font-size: .84em; font-weight: 650; box-shadow: inset 0 0 0 1px var(--_divider); }
.row[aria-current] .avatar { background: var(--_surface-raised); }
.present { position: absolute; inset-block-end: -1px; inset-inline-end: -1px; width: 11px; height: 11px; border-radius: 50%; border: 2px solid var(--_surface); background: var(--_accent); }
.row-body { flex: 1; min-width: 0; display: grid; gap: 2px; }
.row-line { display: flex; align-items: baseline; gap: 8px; min-width: 0; }
.row-name { flex: 1; min-width: 0; font-weight: 600; white-space: nowrap; overflow: hidden; text-overflow: ellipsis; }
.row-name bdi, .who-line bdi { display: block; width: fit-content; max-width: 100%; overflow: hidden; text-overflow: ellipsis; }
.unread .row-name { font-weight: 720; }
.row-time { flex: none; font-size: .86em; color: var(--_text-muted); }
.row-preview { flex: 1; display: flex; min-width: 0; white-space: pre; color: var(--_text-muted); }
.row-who, .row-words { overflow: hidden; text-overflow: ellipsis; white-space: nowrap; }
.row-words { min-width: 0; }
.unread .row-preview { color: var(--_text); }
.row-who { flex: none; max-width: 50%; white-space: pre; color: var(--_text-muted); }
.unread-count { flex: none; min-width: 20px; padding: 0 6px; border-radius: 10px; background: var(--_primary); color: var(--_on-primary); font-size: .82em; font-weight: 680; line-height: 20px; text-align: center; }
.row-meta { font-size: .86em; color: var(--_text-muted); }
.handler { flex: none; max-width: 60%; overflow: hidden; text-overflow: ellipsis; white-space: nowrap; }
.handler.waiting { font-weight: 650; color: var(--_accent); }
.handler.long { color: var(--_error); }
.handler.mine { font-weight: 650; color: var(--_text); }
.row-page { flex: 1; min-width: 0; overflow: hidden; text-overflow: ellipsis; white-space: nowrap; }
.row-page bdi { display: inline-block; max-width: calc(100% - 1em); overflow: hidden; text-overflow: ellipsis; vertical-align: bottom; }
.row-page::before { content: "· "; }
.more-rows { margin: 6px auto 0; }
.empty { padding: 28px 20px; color: var(--_text-muted); text-align: center; text-wrap: balance; }
.empty p + p { margin-top: 6px; }
.empty :is(.plain, .strong) { margin-top: 14px; }

.conversation { display: flex; flex-direction: column; min-width: 0; min-height: 0; }
.conversation.none { display: grid; place-items: center; }
.conversation-head { display: flex; align-items: center; gap: 12px; min-height: 62px; padding: 10px 10px 4px var(--_gutter); }
[dir=rtl] .conversation-head { padding: 10px var(--_gutter) 4px 10px; }
.who-line { flex: 1; min-width: 0; }
.who-line h2 { font-size: 1.1em; font-weight: 660; letter-spacing: -.012em; line-height: 1.3; white-space: nowrap; overflow: hidden; text-overflow: ellipsis; }
.who-line h2:focus { outline: 0; }
.state-line { font-size: .92em; line-height: 1.35; color: var(--_text-muted); }
.viewers { color: var(--_warning); font-weight: 600; }
.viewers::before { content: "· "; color: var(--_text-muted); font-weight: 400; }
.back, .details-close { display: none; }
[dir=rtl] .back .icon { scale: -1 1; }
.action-bar { display: flex; flex-wrap: wrap; gap: 6px; padding: 6px var(--_gutter) 12px; border-bottom: 1px solid var(--_divider); }
.action-bar > * { min-height: 34px; padding-inline: 12px; font-size: .95em; }
.action-bar .end { margin-inline-start: auto; color: var(--_error); }
.log { padding: 18px var(--_gutter) 10px; }
.desk .footer { padding: 0 var(--_gutter) max(14px, env(safe-area-inset-bottom)); }
.typing-line { display: flex; align-items: center; gap: 10px; min-height: 24px; font-size: .9em; color: var(--_text-muted); }

.desk .message { margin-bottom: 14px; padding-bottom: 0; max-width: min(100%, 42rem); }
.desk .head { margin: 0 4px 4px; }
.desk .user { align-items: flex-start; width: fit-content; padding-inline-end: 44px; }
.desk .user .who { position: static; width: auto; height: auto; clip-path: none; }
.desk .user .text { max-width: none; border-radius: 5px 18px 18px 18px; background: var(--_surface-sunken); }
.desk .assistant { width: fit-content; margin-inline-start: auto; padding-inline-start: 44px; }
.desk .assistant .head { justify-content: flex-end; }
.desk .assistant .text { width: fit-content; max-width: 100%; margin-inline-start: auto; padding: 10px 15px; border: 1px solid var(--_divider); border-radius: 18px 5px 18px 18px; background: var(--_surface-raised); }
.desk .sources { justify-content: flex-end; }
.desk .assistant .note { text-align: end; }
.desk[dir=rtl] .user .text { border-radius: 18px 5px 18px 18px; }
.desk[dir=rtl] .assistant .text { border-radius: 5px 18px 18px 18px; }
.desk [data-from=operator] .text { --_accent: var(--_text); border-color: transparent; background: var(--_user-bubble); }
.desk [data-from=operator] .who::before { content: none; }
.desk [data-from=note] { width: min(100%, 40rem); margin: 0 auto 14px; font-size: 1em; color: var(--_text); }
.desk [data-from=note] .text { padding: 9px 14px; border-radius: 4px 12px 12px 4px; border: 1px dashed var(--_warning); border-inline-start: 4px solid var(--_warning); background: color-mix(in oklab, var(--_warning) 9%, var(--_surface-raised)); }
.desk[dir=rtl] [data-from=note] .text { border-radius: 12px 4px 4px 12px; }
.desk [data-from=note] .who { color: var(--_warning); }
.desk .tools { position: absolute; inset-block-start: 18px; inset-inline: 0 auto; margin: 0; opacity: 0; }
.desk .user .tools { inset-inline: auto 0; }
.desk [data-from=note] .tools { inset-block-start: -10px; inset-inline: auto 0; }
.desk .message:is(:hover, :focus-within) .tools { opacity: 1; }
@media (hover: none) { .desk .tools { display: none; } }

.desk-composer { position: relative; display: flex; flex-direction: column; border: 1px solid var(--_border); border-radius: 16px; background: var(--_surface-raised); overflow: clip; }
.desk-composer:has(.replies) { overflow: visible; }
.desk-composer:focus-within { border-color: var(--_accent); box-shadow: 0 0 0 1px var(--_accent); }
.desk-composer[data-active=note]:focus-within { border-color: var(--_warning); box-shadow: 0 0 0 1px var(--_warning); }
.field { min-height: 38px; max-height: 38px; padding: 8px 15px; border: 0; outline: 0; resize: none; background: none; font-size: max(1em, 14.5px); line-height: 22px; overflow: auto; scrollbar-width: thin; }
[data-active=reply] #reply, [data-active=note] #note { min-height: 74px; max-height: min(220px, 32dvh); field-sizing: content; }
.field:disabled { cursor: not-allowed; opacity: .75; }
#note { border-top: 1px dashed var(--_divider); background: color-mix(in oklab, var(--_warning) 6%, transparent); }
[data-active=note] #note { background: color-mix(in oklab, var(--_warning) 11%, transparent); }
.send-row { display: flex; align-items: center; justify-content: space-between; gap: 12px; padding: 6px 6px 6px 15px; border-top: 1px solid var(--_divider); }
[dir=rtl] .send-row { padding: 6px 15px 6px 6px; }
.send-row .strong { flex: none; }
.note-send:not(:disabled) { background: var(--_warning); color: var(--_surface); }
.read-only { padding: 12px; border-radius: 12px; background: var(--_surface-sunken); color: var(--_text-muted); text-align: center; }
.replies { position: absolute; z-index: 4; inset-inline: 0; bottom: calc(100% + 6px); max-height: 280px; overflow: auto; padding: 6px; list-style: none; background: var(--_surface-raised); border: 1px solid var(--_divider); border-radius: 14px; box-shadow: 0 10px 32px -6px rgb(0 0 0 / .22); }
.replies.none { padding: 12px 16px; color: var(--_text-muted); }
.replies li, .palette li { display: flex; align-items: baseline; gap: 12px; padding: 9px 11px; border-radius: 9px; cursor: pointer; }
.replies li span { min-width: 0; overflow: hidden; text-overflow: ellipsis; white-space: nowrap; }
.replies li:hover, .palette li:hover { background: var(--_surface-sunken); }
.replies [aria-selected=true], .palette [aria-selected=true] { --_text-muted: var(--_text); background: var(--_user-bubble); }

.details { width: 296px; min-height: 0; overflow: auto; padding: 18px 18px 24px; border-inline-start: 1px solid var(--_divider); scrollbar-width: thin; }
.details-head { display: flex; align-items: center; justify-content: space-between; }
.details h2 { font-size: 1.02em; font-weight: 660; }
.details h3 { font-size: .95em; font-weight: 660; margin-bottom: 6px; }
.details section { margin-top: 20px; padding-top: 16px; border-top: 1px solid var(--_divider); }
.person { margin: 14px 0 16px; display: flex; flex-wrap: wrap; align-items: center; gap: 4px 10px; }
.person-name { font-size: 1.14em; font-weight: 650; }
.badge { padding: 1px 9px; border-radius: 9px; font-size: .84em; color: var(--_text-muted); box-shadow: inset 0 0 0 1px var(--_divider); }
.badge.verified { color: var(--_accent); font-weight: 650; box-shadow: inset 0 0 0 1px var(--_accent); }
.details dl, .keys { margin: 0; display: grid; gap: 9px; }
.details dt { font-size: .86em; color: var(--_text-muted); }
.details dd { margin: 0; }
.details dd a { color: var(--_accent); }
.quote { margin-top: 4px; padding-inline-start: 10px; border-inline-start: 3px solid var(--_divider); color: var(--_text-muted); }
.earlier-list { list-style: none; display: grid; gap: 2px; margin-inline: -10px; }
.earlier-list a { display: grid; padding: 7px 10px; border-radius: 9px; text-decoration: none; }
.earlier-list a:hover { background: var(--_surface-sunken); }
.earlier-list a span { overflow: hidden; text-overflow: ellipsis; white-space: nowrap; }
.earlier-list small { color: var(--_text-muted); }
.files { display: grid; justify-items: start; margin: 18px -12px 0; padding-top: 8px; }
.files .text-icon-button { min-height: 40px; }
.danger-text { color: var(--_error); }

dialog.dialog { width: min(420px, calc(100vw - 32px)); max-height: min(640px, calc(100dvh - 32px)); padding: 0; overflow: auto; color: var(--_text); margin: auto; }
dialog::backdrop { background: rgb(0 0 0 / .42); }
dialog.wide { width: min(640px, calc(100vw - 32px)); }
.dialog-body { padding: 22px; }
.dialog-title { display: flex; align-items: center; justify-content: space-between; margin: -8px -8px 8px 0; }
[dir=rtl] .dialog-title { margin: -8px 0 8px -8px; }
.choices { display: flex; flex-wrap: wrap; justify-content: flex-end; gap: 8px; margin-top: 20px; }
.settings + .choices > * { flex: 1 1 40%; white-space: nowrap; }
.choice-list { list-style: none; display: grid; gap: 4px; }
.choice { display: flex; align-items: center; justify-content: space-between; width: 100%; min-height: 44px; padding: 0 12px; border: 1px solid var(--_divider); border-radius: 10px; background: none; cursor: pointer; text-align: start; }
.choice:hover { border-color: var(--_accent); }
.choice small { color: var(--_text-muted); }
.choice .available { color: var(--_accent); font-weight: 650; }
.settings .switch, .help + .muted + .switch { padding-inline: 0; min-height: 44px; }
.settings .switch:hover, .help + .muted + .switch:hover { background: none; }
.help { display: grid; grid-template-columns: 1fr 1fr; gap: 0 32px; margin-bottom: 14px; }
.help section { margin-bottom: 16px; }
.help section:nth-child(2) { grid-row: span 2; }
.help h3 { font-size: .92em; font-weight: 660; color: var(--_text-muted); margin-bottom: 6px; }
.keys { gap: 6px; }
.keys > div { display: flex; align-items: baseline; gap: 10px; }
.keys dt { flex: none; min-width: 4.1em; }
.keys dd { margin: 0; }
dialog.palette { width: min(560px, calc(100vw - 32px)); margin-top: 12dvh; padding: 8px; }
.palette input { width: 100%; min-height: 46px; padding: 0 14px; border: 0; border-bottom: 1px solid var(--_divider); outline: 0; background: none; font-size: max(16px, 1.06em); margin: 0 0 8px; }
.dialog.palette input { margin-top: 0; border-radius: 0; border-width: 0 0 1px; }
.palette ul { list-style: none; }
.palette .muted { padding: 10px 12px; }
.entry-name { flex: none; max-width: 60%; overflow: hidden; text-overflow: ellipsis; white-space: nowrap; }
.entry-detail { flex: 1; min-width: 0; color: var(--_text-muted); overflow: hidden; text-overflow: ellipsis; white-space: nowrap; text-align: end; }

.login { display: grid; place-items: center; height: 100%; padding: 24px; background: var(--_surface-sunken); }
.login-card { width: min(420px, 100%); padding: 32px; border-radius: 20px; border: 1px solid var(--_divider); background: var(--_surface-raised); }
.login-card p + p { margin-top: 8px; }
.login-choices { display: flex; flex-wrap: wrap; gap: 10px; margin-top: 22px; }
.login-choices:not(:has(*)) { display: none; }
.login-choices > * { min-height: 44px; padding-inline: 20px; }

@container desk (max-width: 1440px) {
  .work { grid-template-columns: minmax(264px, 300px) minmax(0, 1fr); }
  .action-bar > * { padding-inline: 10px; }
}
@container desk (max-width: 1240px) {
  .details { display: none; position: absolute; z-index: 5; inset-block: 0; inset-inline-end: 0; width: min(320px, 100%); background: var(--_surface); box-shadow: 0 0 40px rgb(0 0 0 / .24); }
  .details.open { display: block; }
  .details-close { display: inline-grid; }
}
@container desk (min-width: 1241px) { .details-button { display: none; } }
@container desk (max-width: 1020px) {
  .desk { grid-template-columns: 66px minmax(0, 1fr); }
  .sidebar { padding-inline: 8px; }
  .brand > span, .view-name, .operator-name, .operator .switch > span { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); white-space: nowrap; }
  .brand .mark { margin-inline: auto; }
  .view { position: relative; justify-content: center; padding: 0; min-height: 44px; }
  .count { position: absolute; inset-block-start: 2px; inset-inline-end: 2px; min-width: 1.4em; padding: 0 3px; font-size: .78em; line-height: 1.5; text-align: center; }
  .operator-row { padding: 0; justify-content: center; }
  .operator .switch { justify-content: center; padding: 0; }
}
@container desk (max-width: 760px) {
  .desk { grid-template: auto minmax(0, 1fr) / minmax(0, 1fr); }
  .sidebar { display: grid; grid-template-columns: minmax(0, 1fr) auto; align-items: center; padding: 6px 8px 0; border-inline-end: 0; border-bottom: 1px solid var(--_divider); }
  .brand { margin: 0; padding-inline-start: 6px; }
  .brand > span { position: static; width: auto; height: auto; clip-path: none; }
  .brand .mark { margin-inline: 4px 12px; }
  .operator { display: flex; align-items: center; border: 0; padding: 0; grid-row: 1; grid-column: 2; }
  .operator .switch > span { position: static; width: auto; height: auto; clip-path: none; }
  .operator .switch { width: auto; padding-inline: 8px; gap: 8px; }
  .views { grid-column: 1 / -1; }
  .views ul { display: flex; justify-content: space-between; overflow-x: auto; scrollbar-width: none; }
  .views .apart { margin: 0; padding: 0; border: 0; }
  .views .icon { display: none; }
  .views .apart .icon { display: block; width: 20px; height: 20px; }
  .views .apart .view { min-width: 40px; justify-content: center; }
  .view { flex-direction: column; min-height: 48px; padding: 3px 4px; gap: 0; font-size: 13px; line-height: 1.3; border-radius: 0; white-space: nowrap; }
  .view-name { flex: none; position: static; width: auto; height: auto; clip-path: none; }
  .views .apart .view-name { position: absolute; width: 1px; height: 1px; clip-path: inset(50%); }
  .count { position: static; min-width: 0; padding: 0; font-size: .9em; }
  .view.urgent .count { padding: 0 6px; }
  .view[aria-current] { background: none; box-shadow: inset 0 -3px 0 var(--_accent); }
  .work { grid-template-columns: minmax(0, 1fr); }
  .list-pane { border: 0; }
  .list-head h2 { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); }
  .list-head { padding: 10px 10px 8px; }
  .row { padding: 12px 8px; }
  .desk:not(.has-conversation) .conversation { display: none; }
  .has-conversation .list-pane, .has-conversation .sidebar { display: none; }
  .desk.has-conversation { grid-template-rows: minmax(0, 1fr); }
  .back { display: inline-grid; }
  .conversation-head { padding-inline: 4px; gap: 8px; border: 0; }
  [dir=rtl] .conversation-head { padding-inline: 4px; }
  .action-bar { flex-wrap: nowrap; overflow-x: auto; padding: 4px 12px 10px; scrollbar-width: none; }
  .action-bar > * { flex: none; min-height: 44px; }
  .action-bar .end { margin-inline-start: 0; }
  .log { padding-inline: 14px; }
  .desk .footer { padding-inline: 8px; }
  .field { min-height: 44px; max-height: 44px; padding-block: 11px; font-size: 16px; }
  .strong, .plain { min-height: 44px; }
  .hint { display: none; }
  .send-row { justify-content: flex-end; }
  .help { grid-template-columns: minmax(0, 1fr); }
}
@media (pointer: coarse) {
  .strong, .plain, .view, .switch, .search, .action-bar > *, .text-icon-button, .files .text-icon-button { min-height: 44px; }
  .icon-button { width: 44px; height: 44px; }
  .field { min-height: 44px; max-height: 44px; padding-block: 11px; font-size: 16px; }
  .search input { font-size: 16px; }
}
@media (prefers-reduced-motion: no-preference) {
  .switch i::after { transition: inset .12s; }
  dialog[open], .replies { animation: appear .14s ease-out; }
}
@media (forced-colors: active) {
  .strong, .plain, .switch i, .badge, .view[aria-current], .row[aria-current], .unread-count { border: 1px solid ButtonText; }
  .switch[aria-checked=true] i { background: Highlight; }
  .present { forced-color-adjust: none; }
  .replies [aria-selected=true], .palette [aria-selected=true] { outline: 2px solid Highlight; }
}
`;
