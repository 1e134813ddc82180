import { printable } from "./format.ts";
import { renderTable, type TableRow } from "./table.ts";
import { fitText } from "./text-width.ts";

export interface OutputStream {
  write(text: string): unknown;
  readonly isTTY?: boolean;
  readonly columns?: number;
}

export interface OutputOptions {
  readonly stdout: OutputStream;
  readonly stderr: OutputStream;
  readonly json: boolean;
  readonly quiet: boolean;
  readonly color: boolean;
}

type Style = "bold" | "dim" | "red" | "green" | "yellow";
/** Of a terminal that does not tell its width, or tells 0. */
const COLUMNS = 80;
const CODES: Record<Style, number> = { bold: 1, dim: 2, red: 31, green: 32, yellow: 33 };
/** What {@link Output.styled} writes, and the ends of lines. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: they begin with an escape.
const OWN = /(\u001b\[(?:0|1|2|31|32|33)m|\n)/;

/**
 * Where text goes. stdout carries the result and nothing else: text for people without --json, JSON with it. Everything
 * that accompanies the work goes to stderr. No control character passes but line ends and our own colours: what publishers
 * wrote is escaped where it is printed, because only there its line ends are known from ours, and once more here.
 */
export class Output {
  readonly json: boolean;
  readonly quiet: boolean;
  /** Whether stderr is a terminal: progress bars are drawn there only. */
  readonly interactive: boolean;
  readonly #options: OutputOptions;
  readonly #warned = new Set<string>();
  #transient = "";

  constructor(options: OutputOptions) {
    this.json = options.json;
    this.quiet = options.quiet;
    this.interactive = options.stderr.isTTY === true && !options.quiet;
    this.#options = options;
  }

  /** The result for people; with --json it accompanies the document on stderr. */
  line(text: string): void {
    this.clearTransient();
    (this.json ? this.#options.stderr : this.#options.stdout).write(safe(`${text}\n`));
  }

  /** The result as one line of JSON, whatever the mode. */
  document(value: unknown): void {
    this.clearTransient();
    // JSON.stringify leaves C1 controls and bidi marks as they are.
    this.#options.stdout.write(`${printable(JSON.stringify(value))}\n`);
  }

  /** One of the two forms of a result. */
  emit(value: unknown, human: () => void): void {
    if (this.json) this.document(value);
    else human();
  }

  /** A table on stdout; columns without any content are left out, spare ones in this order where the terminal is too narrow. */
  table(
    header: readonly string[],
    rows: readonly TableRow[],
    empty: string,
    spare?: readonly string[],
  ): void {
    if (rows.length === 0) {
      this.note(empty);
      return;
    }
    const lines = renderTable(header, rows, { width: this.columns, ...(spare && { spare }) });
    this.line([this.styled("dim", lines[0] ?? "", this.#options.stdout), ...lines.slice(1)].join("\n"));
  }

  /** Width of the terminal that results go to; undefined where they go elsewhere. */
  get columns(): number | undefined {
    const { stdout } = this.#options;
    return stdout.isTTY === true ? stdout.columns || COLUMNS : undefined;
  }

  /** Width of a {@link transient} line. */
  get transientColumns(): number {
    return (this.#options.stderr.columns || COLUMNS) - 1;
  }

  /** Accompanying text for people; silent with -q. */
  note(text: string): void {
    if (!this.quiet) this.say(text);
  }

  /** Once: what is found here before anything is sent, the farm finds again. */
  warn(text: string): void {
    if (this.#warned.has(text)) return;
    this.#warned.add(text);
    this.say(`${this.styled("yellow", "warning:", this.#options.stderr)} ${text}`);
  }

  /** To stderr, also with -q. */
  say(text: string): void {
    this.clearTransient();
    this.#options.stderr.write(safe(`${text}\n`));
  }

  /** A line that the next output replaces; on terminals only. */
  transient(text: string): void {
    if (!this.interactive) return;
    const shown = fitText(printable(text), this.transientColumns);
    this.#options.stderr.write(`\r${shown}\u001b[K`);
    this.#transient = shown;
  }

  clearTransient(): void {
    if (this.#transient === "") return;
    this.#transient = "";
    this.#options.stderr.write("\r\u001b[K");
  }

  styled(style: Style, text: string, stream: OutputStream = this.#options.stderr): string {
    if (!this.#options.color || stream.isTTY !== true) return text;
    return `\u001b[${CODES[style]}m${text}\u001b[0m`;
  }
}

function safe(text: string): string {
  return text
    .split(OWN)
    .map((part, at) => (at % 2 === 1 ? part : printable(part)))
    .join("");
}
