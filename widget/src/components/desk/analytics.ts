/** `<baton-desk-analytics>`: the daily counts as plots, each with its table, and the questions without an answer. */
import { html, LitElement, nothing, svg, type TemplateResult } from "lit";
import type { DeskApi } from "../../client/desk-api";
import { language, type Language } from "../../locales/i18n";
import {
  bars,
  firstDay,
  headlines,
  highest,
  lines,
  PERIODS,
  PLOTS,
  scaleEnd,
  type Day,
  type Period,
  type Plot,
  type Question,
} from "../../state/desk-analytics";
import { sheet } from "../../theme/stylesheet";
import { analyticsStyles } from "./analytics.styles";

const REFRESH_MS = 60_000;
const WIDTH = 480;
const HEIGHT = 120;

export class BatonDeskAnalytics extends LitElement {
  api!: Pick<DeskApi, "analytics" | "analyticsUrl" | "questions" | "eraseQuestions">;
  words: Language = language();

  #period: Period = 30;
  #days: Day[] | null = null;
  #questions: Question[] | null = null;
  #kept = false;
  #failed = false;
  /** The question whose "Erase" was pressed once, or `all`. */
  #asked = "";
  #timer: ReturnType<typeof setTimeout> | undefined;
  #load = 0;

  static override styles = [sheet(analyticsStyles)];

  override connectedCallback(): void {
    super.connectedCallback();
    void this.refresh();
  }
  override disconnectedCallback(): void {
    super.disconnectedCallback();
    clearTimeout(this.#timer);
    this.#load++;
  }

  /** Asks the service now, and again in a minute. */
  async refresh(): Promise<void> {
    const load = ++this.#load;
    clearTimeout(this.#timer);
    try {
      const [days, kept] = await Promise.all([
        this.api.analytics(firstDay(this.#period, Date.now())),
        this.api.questions(),
      ]);
      if (load !== this.#load) return;
      this.#days = days;
      this.#questions = kept.questions;
      this.#kept = kept.kept;
      this.#failed = false;
    } catch {
      if (load !== this.#load) return;
      this.#failed = true;
    }
    this.requestUpdate();
    this.#timer = setTimeout(() => void this.refresh(), REFRESH_MS);
  }

  #t(key: string, params?: Record<string, string | number>): string {
    return this.words.t(`desk.analytics.${key}`, params);
  }
  #number(value: number, digits = 0): string {
    return value.toLocaleString(this.words.tag, {
      numberingSystem: "latn",
      maximumFractionDigits: digits,
    });
  }
  #percent(value: number): string {
    return value.toLocaleString(this.words.tag, {
      style: "percent",
      numberingSystem: "latn",
      maximumFractionDigits: 0,
    });
  }
  #date(day: string): string {
    return new Date(`${day}T00:00:00Z`).toLocaleDateString(this.words.tag, {
      day: "numeric",
      month: "short",
      timeZone: "UTC",
      numberingSystem: "latn",
    });
  }

  override render(): TemplateResult {
    const { dir } = this.words;
    return html`<div class="page" dir=${dir}>
      <div class="head">
        <h2>${this.words.t("desk.analytics")}</h2>
        <div class="periods" role="group" aria-label=${this.#t("period")}>
          ${PERIODS.map(
            (period) => html`<button type="button" aria-pressed=${String(this.#period === period)}
              @click=${() => this.#choose(period)}>${this.#t("days", { n: period })}</button>`,
          )}
        </div>
        <a class="download" href=${this.api.analyticsUrl(firstDay(this.#period, Date.now()))} download>${this.#t("csv")}</a>
      </div>
      <p class="status" role="status">${this.#failed ? this.#t("failed") : this.#days ? nothing : this.#t("loading")}</p>
      ${this.#days ? this.#report(this.#days) : nothing}
    </div>`;
  }

  #choose(period: Period): void {
    this.#period = period;
    this.requestUpdate();
    void this.refresh();
  }

  #report(days: Day[]): TemplateResult {
    return html`<dl class="figures">${headlines(days).map(
      ({ name, value, share }) => html`<div><dt>${this.#t(`figure.${name}`)}</dt>
        <dd>${value === null ? "–" : share ? this.#percent(value) : this.#number(value)}</dd></div>`,
    )}</dl>
    <div class="plots">${PLOTS.map((plot) => this.#plot(days, plot))}</div>
    ${this.#questionList()}`;
  }

  #plot(days: Day[], plot: Plot): TemplateResult {
    const { name, series } = plot;
    const end = scaleEnd(highest(days, plot));
    const key = series.length > 1 ? this.#legend(plot) : nothing;
    return html`<figure aria-labelledby=${`plot-${name}`}>
      <figcaption id=${`plot-${name}`}>${this.#t(`plot.${name}`)}</figcaption>
      ${key}
      <div class="plot" aria-hidden="true">
        <div class="scale"><span>${this.#number(end, 1)}</span><span>${this.#number(end / 2, 1)}</span><span>0</span></div>
        <svg viewBox="0 0 ${WIDTH} ${HEIGHT}" preserveAspectRatio="none" class=${this.words.dir}>
          ${[0, HEIGHT / 2, HEIGHT].map((y) => svg`<line class="grid" x1="0" x2=${WIDTH} y1=${y} y2=${y}></line>`)}
          ${plot.kind === "line" ? this.#lines(days, plot) : this.#bars(days, plot)}
        </svg>
        <div class="ends"><span>${this.#date(days[0]?.date ?? "")}</span><span>${this.#date(days.at(-1)?.date ?? "")}</span></div>
      </div>
      <details><summary>${this.#t("table")}<span class="visually-hidden"> ${this.#t(`plot.${name}`)}</span></summary>${this.#table(days, plot)}</details>
    </figure>`;
  }

  #legend({ series }: Plot): TemplateResult {
    return html`<ul class="legend" aria-hidden="true">${series.map(
      (name, at) => html`<li><i class=${`series-${at}`}></i>${this.#t(`series.${name}`)}</li>`,
    )}</ul>`;
  }

  #bars(days: Day[], plot: Plot): unknown {
    return bars(days, plot, WIDTH, HEIGHT).map(
      ({ series, x, y, width, height }) =>
        svg`<rect class=${`series-${series}`} x=${x} y=${y} width=${width} height=${height}></rect>`,
    );
  }

  #lines(days: Day[], plot: Plot): unknown {
    return lines(days, plot, WIDTH, HEIGHT).map((points) =>
      points.length > 1
        ? svg`<polyline points=${points.map((point) => point.join()).join(" ")}></polyline>`
        : svg`<rect class="series-0" x=${points[0]![0] - 3} y=${Math.min(HEIGHT - 3, points[0]![1])} width="6" height="3"></rect>`,
    );
  }

  #table(days: Day[], { name, series }: Plot): TemplateResult {
    const value = (one: number | null) => (one === null ? "–" : this.#number(one, 1));
    return html`<div class="table" tabindex="0" role="region" aria-label=${this.#t(`plot.${name}`)}><table>
      <thead><tr><th scope="col">${this.#t("day")}</th>${series.map((one) => html`<th scope="col">${this.#t(`series.${one}`)}</th>`)}</tr></thead>
      <tbody>${days
        .toReversed()
        .map(
          (day) =>
            html`<tr><th scope="row">${this.#date(day.date)}</th>${series.map((one) => html`<td>${value(day[one])}</td>`)}</tr>`,
        )}</tbody></table></div>`;
  }

  #questionList(): TemplateResult {
    const questions = this.#questions ?? [];
    const body = questions.length
      ? html`<ol class="questions">${questions.map((one) => this.#question(one))}</ol>${this.#eraseButton("all")}`
      : html`<p class="hint">${this.#t(this.#kept ? "questions.none" : "questions.off")}</p>`;
    return html`<section class="unanswered" aria-labelledby="unanswered">
      <h3 id="unanswered" tabindex="-1">${this.#t("questions")}</h3>
      ${this.#kept || questions.length ? html`<p class="hint">${this.#t("questions.about")}</p>` : nothing}
      ${body}
    </section>`;
  }

  #question(one: Question): TemplateResult {
    return html`<li><span class="times">${this.#t("times", { n: one.count })}</span>
      <q><bdi>${one.question}</bdi></q>
      <small>${this.#t("last", { time: this.#date(one.last_at.slice(0, 10)) })}</small>
      ${this.#eraseButton(one.id, one.question)}</li>`;
  }

  /** Asks once more: nothing brings an erased question back. */
  #eraseButton(id: string, question = ""): TemplateResult {
    const asked = this.#asked === id;
    const text = this.#t(asked ? "sure" : id === "all" ? "eraseAll" : "erase");
    const name = `${text}${asked ? "" : ":"} ${question}`;
    return html`<button type="button" class=${asked ? "erase sure" : "erase"} aria-label=${question ? name : nothing}
      @blur=${() => asked && this.#ask("")} @click=${() => (asked ? void this.#erase(id) : this.#ask(id))}>${text}</button>`;
  }

  #ask(id: string): void {
    this.#asked = id;
    this.requestUpdate();
  }

  async #erase(id: string): Promise<void> {
    this.#asked = "";
    try {
      await this.api.eraseQuestions(id === "all" ? undefined : id);
    } catch {
      this.#failed = true;
    }
    await this.refresh();
    await this.updateComplete;
    this.renderRoot.querySelector<HTMLElement>("#unanswered")?.focus();
  }
}

customElements.define("baton-desk-analytics", BatonDeskAnalytics);
