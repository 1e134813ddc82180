/** A command line that goes to the same farm when it is pasted. */
export type Pasteable = (...words: string[]) => string;

/** A text in which command lines stand between backticks: those that ask a farm ask the same one when they are pasted. */
export function forFarm(text: string, pasteable: Pasteable): string {
  return text.replace(
    /`granary (?!help\b|explain\b|context\b)([^`]+)(?<!--help)`/g,
    (_, words: string) => `\`${pasteable(...words.split(" "))}\``,
  );
}
