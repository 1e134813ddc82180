import { type Content, type Html, html } from "./html.ts";

/** Pieces that pages are made of. */
export interface Column<T> {
  readonly label: string;
  /** `n`: numbers, to the right; `wide`: a line of its own on a phone; `now`: never broken. */
  readonly as?: "n" | "wide" | "now";
  /** On a phone the label stands before what is shown, unless that speaks for itself. */
  readonly bare?: true;
  show(row: T): Content;
}

/** Roles are said because the style takes tables apart on a phone, and their meaning with them. */
export function table<T>(
  rows: readonly T[],
  columns: readonly Column<T>[],
  options: { caption: string; empty: Content; live?: (row: T) => boolean },
): Html {
  if (rows.length === 0) return html`<p class="dim">${options.empty}</p>`;
  const head = columns.map(
    ({ label, as }) => html`<th role="columnheader" scope="col" class="${as}">${label}</th>`,
  );
  const body = rows.map((row) => {
    const cells = columns.map(({ label, as, bare, show }) => {
      const name = bare === true ? "" : html` data-label="${label}"`;
      // No blank inside: an empty cell is left out on a phone.
      return html`<td role="cell" class="${as}"${name}>${show(row)}</td>`;
    });
    return html`<tr role="row" class="${options.live?.(row) === true && "live"}">${cells}</tr>`;
  });
  return html`<table role="table" aria-label="${options.caption}"><thead role="rowgroup"><tr role="row">${head}</tr></thead>
<tbody role="rowgroup">${body}</tbody></table>`;
}

export function section(id: string, title: Content, content: Content): Html {
  return html`<section id="${id}" aria-labelledby="${id}-title"><h2 id="${id}-title">${title}</h2>${content}</section>`;
}

export type Mood = "good" | "warn" | "bad" | "";

export function tag(text: string, mood: Mood): Html {
  return html`<span class="tag ${mood}">${text}</span>`;
}

/** A publisher's words: kept from reordering what stands around them. */
export function words(text: string | null | undefined): Content {
  return text === null || text === undefined ? "" : html`<bdi>${text}</bdi>`;
}

/** Those that have a value. */
export function facts(rows: readonly (readonly [string, Content])[]): Html {
  const known = rows.filter(([, value]) => value !== "");
  return html`<dl class="panel facts">${known.map(([name, value]) => html`<div><dt>${name}</dt><dd>${value}</dd></div>`)}</dl>`;
}

/** How long ago, with the whole time on hover. */
export function ago(time: string | null | undefined, nowMs: number): Content {
  if (time === null || time === undefined) return "";
  const seconds = Math.max(0, Math.round((nowMs - Date.parse(time)) / 1000));
  const [many, unit] =
    seconds < 60
      ? [seconds, "s"]
      : seconds < 3_600
        ? [Math.floor(seconds / 60), "min"]
        : seconds < 172_800
          ? [Math.floor(seconds / 3_600), "h"]
          : [Math.floor(seconds / 86_400), "d"];
  return html`<time datetime="${time}" title="${time}">${many} ${unit} ago</time>`;
}

/** A time as the command line writes it. */
export function at(time: string): Html {
  return html`<time datetime="${time}">${time.slice(0, 19).replace("T", " ")}Z</time>`;
}

/** Powers of 1000, as disks and networks count. */
export function bytes(count: number): string {
  const units = ["B", "KB", "MB", "GB", "TB"];
  let value = count;
  let unit = 0;
  for (; value >= 999.5 && unit < units.length - 1; unit += 1) value /= 1000;
  return `${value < 10 && unit > 0 ? value.toFixed(1) : Math.round(value)} ${units[unit]}`;
}

export function commit(text: string | null): Content {
  return text === null ? "" : html`<code title="${text}"><bdi>${text.slice(0, 12)}</bdi></code>`;
}

/** An image reference that opens in place and is selected as a whole. */
export function imageReference(reference: string, id: string): Html {
  const digest = reference.slice(reference.indexOf("@sha256:") + 8);
  return html`<details id="${id}"><summary class="mono">${digest.slice(0, 12)}</summary><code>${reference}</code></details>`;
}
