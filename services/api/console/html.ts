/** Markup that is safe to send: only {@link html} makes it, and it escapes whatever is put in. */
export class Html {
  readonly text: string;
  constructor(text: string) {
    this.text = text;
  }
}

export type Content = Html | string | number | null | undefined | false | readonly Content[];

/**
 * Template tag. Everything put in is escaped, for text and for quoted attributes alike, unless it is {@link Html} itself: names of
 * commits, sources, reasons and paths are publishers' words.
 */
export function html(parts: TemplateStringsArray, ...values: readonly Content[]): Html {
  return new Html(parts.map((part, i) => `${part}${i < values.length ? render(values[i]) : ""}`).join(""));
}

function render(value: Content): string {
  if (value instanceof Html) return value.text;
  if (value === null || value === undefined || value === false) return "";
  if (typeof value === "object") return value.map(render).join("");
  return String(value).replace(/[&<>"'`]/g, (character) => `&#${character.charCodeAt(0)};`);
}
