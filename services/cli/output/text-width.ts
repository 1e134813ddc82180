/** What terminals draw two columns wide: East Asian wide and fullwidth forms (UAX 11), and emoji. */
const WIDE =
  /[\p{Emoji_Presentation}\u1100-\u115f\u2e80-\u303e\u3041-\ua4cf\ua960-\ua97f\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff01-\uff60\uffe0-\uffe6\u{1f300}-\u{1faff}\u{20000}-\u{3fffd}]/u;
const PLAIN = /^[\x20-\x7e]*$/;
const ELLIPSIS = "…";
let segmenter: Intl.Segmenter | undefined;

/** How many columns of a terminal a text takes; marks that combine with a letter take none. */
export function textWidth(text: string): number {
  if (PLAIN.test(text)) return text.length;
  let width = 0;
  for (const { segment } of graphemesOf(text)) width += graphemeWidth(segment);
  return width;
}

/** The text in at most so many columns; what does not fit gives way to an ellipsis, and no character is cut in two. */
export function fitText(text: string, columns: number): string {
  if (textWidth(text) <= columns) return text;
  let width = textWidth(ELLIPSIS);
  let shown = "";
  for (const { segment } of graphemesOf(text)) {
    width += graphemeWidth(segment);
    if (width > columns) break;
    shown += segment;
  }
  return `${shown}${ELLIPSIS}`;
}

export function padEnd(text: string, columns: number): string {
  return text + " ".repeat(Math.max(0, columns - textWidth(text)));
}

export function padStart(text: string, columns: number): string {
  return " ".repeat(Math.max(0, columns - textWidth(text))) + text;
}

/** Lines of at most so many columns, broken at spaces; a longer word stays whole, because it may be a command to copy. */
export function wrapText(text: string, columns: number): string[] {
  const lines: string[] = [];
  let line = "";
  for (const word of text.split(" ")) {
    if (line !== "" && textWidth(line) + 1 + textWidth(word) > columns) {
      lines.push(line);
      line = word;
    } else line = line === "" ? word : `${line} ${word}`;
  }
  return [...lines, line];
}

function graphemeWidth(grapheme: string): number {
  return WIDE.test(grapheme) ? 2 : 1;
}

/** The segmenter takes 9 ms to load its tables; most texts are plain. */
function graphemesOf(text: string): Intl.Segments {
  segmenter ??= new Intl.Segmenter(undefined, { granularity: "grapheme" });
  return segmenter.segment(text);
}
