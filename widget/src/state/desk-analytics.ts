/** What leads see of the daily counts: which plots there are, their series, sums and scales. Pure. */

export type CountName = (typeof COUNTS)[number];
export type MedianName = (typeof MEDIANS)[number];

/** A day as the service counts it, the abandoned conversations flattened. */
export type Day = { date: string } & Record<CountName, number> & Record<MedianName, number | null>;

export interface Question {
  id: string;
  question: string;
  count: number;
  last_at: string;
}

export interface Plot {
  name: string;
  /** `bars` beside each other, `stack` on top of each other, `line` for a median. */
  kind: "bars" | "stack" | "line";
  series: (CountName | MedianName)[];
}

export const COUNTS = [
  "sessions",
  "asked",
  "restored",
  "handed_off",
  "ended",
  "abandoned_bot",
  "abandoned_queue",
  "abandoned_human",
  "answers",
  "not_found",
  "failed",
  "up",
  "down",
  "requested_human",
  "taken",
] as const;
export const MEDIANS = ["duration_p50_s", "first_answer_p50_ms", "wait_p50_s"] as const;
export const PERIODS = [7, 30, 90] as const;
export type Period = (typeof PERIODS)[number];

export const PLOTS: Plot[] = [
  { name: "conversations", kind: "bars", series: ["sessions", "asked"] },
  {
    name: "ends",
    kind: "stack",
    series: ["ended", "abandoned_bot", "abandoned_queue", "abandoned_human"],
  },
  { name: "answers", kind: "bars", series: ["answers", "not_found", "failed"] },
  { name: "people", kind: "bars", series: ["requested_human", "taken"] },
  { name: "ratings", kind: "bars", series: ["up", "down"] },
  { name: "moves", kind: "bars", series: ["restored", "handed_off"] },
  { name: "first_answer", kind: "line", series: ["first_answer_p50_ms"] },
  { name: "wait", kind: "line", series: ["wait_p50_s"] },
  { name: "duration", kind: "line", series: ["duration_p50_s"] },
];

export const sum = (days: Day[], name: CountName): number =>
  days.reduce((total, day) => total + day[name], 0);

const share = (part: number, total: number): number | null =>
  total > 0 ? Math.min(1, Math.max(0, part / total)) : null;

/** The figures at the top; a share is null where there is nothing to take it of. */
export function headlines(days: Day[]): { name: string; value: number | null; share: boolean }[] {
  const total = (name: CountName) => sum(days, name);
  const asked = total("asked");
  return [
    { name: "sessions", value: total("sessions"), share: false },
    { name: "alone", value: share(asked - total("requested_human"), asked), share: true },
    {
      name: "found",
      value: share(total("answers") - total("not_found"), total("answers")),
      share: true,
    },
    { name: "helpful", value: share(total("up"), total("up") + total("down")), share: true },
  ];
}

/** The end of a scale that holds `max`: 1, 2 or 5 with zeros, so that its half is a plain number as well. */
export function scaleEnd(max: number): number {
  if (max <= 2) return 2;
  const power = 10 ** Math.floor(Math.log10(max));
  return ([1, 2, 4, 5, 10].find((step) => step * power >= max) ?? 10) * power;
}

/** The highest that a plot shows. */
export function highest(days: Day[], { kind, series }: Plot): number {
  const ofDay = (day: Day) => {
    const values = series.map((name) => day[name] ?? 0);
    return kind === "stack" ? values.reduce((a, b) => a + b, 0) : Math.max(...values);
  };
  return Math.max(0, ...days.map(ofDay));
}

export interface Bar {
  series: number;
  x: number;
  y: number;
  width: number;
  height: number;
}

/** Bars in a box of `width` by `height`, from its left edge; nothing where a value is 0. */
export function bars(days: Day[], plot: Plot, width: number, height: number): Bar[] {
  const end = scaleEnd(highest(days, plot));
  const slot = width / Math.max(1, days.length);
  const beside = plot.kind === "stack" ? 1 : plot.series.length;
  const thick = Math.min(22, (slot * 0.74) / beside);
  return days.flatMap((day, at) => {
    let below = 0;
    return plot.series.flatMap((name, series) => {
      const tall = ((day[name] ?? 0) / end) * height;
      if (tall <= 0) return [];
      const offset = plot.kind === "stack" ? 0 : series * thick;
      const x = (at + 0.5) * slot - (thick * beside) / 2 + offset;
      const bar = { series, x, y: height - below - tall, width: thick, height: tall };
      if (plot.kind === "stack") below += tall;
      return [bar];
    });
  });
}

/** The points of a line; a day without a value parts it in two. */
export function lines(
  days: Day[],
  plot: Plot,
  width: number,
  height: number,
): [number, number][][] {
  const end = scaleEnd(highest(days, plot));
  const slot = width / Math.max(1, days.length);
  const parts: [number, number][][] = [[]];
  days.forEach((day, at) => {
    const value = day[plot.series[0]!];
    if (value === null) parts.push([]);
    else parts.at(-1)!.push([(at + 0.5) * slot, height - (value / end) * height]);
  });
  return parts.filter((part) => part.length);
}

/** The first day of a period that ends today, in UTC. */
export function firstDay(period: Period, now: number): string {
  return new Date(now - (period - 1) * 86_400_000).toISOString().slice(0, 10);
}
