/** A url without credentials, or undefined when it is none that a browser opens. */
export function httpUrl(text: string | undefined): string | undefined {
  if (text === undefined || !URL.canParse(text)) return undefined;
  const url = new URL(text);
  if (!/^https?:$/.test(url.protocol)) return undefined;
  url.username = "";
  url.password = "";
  return url.href;
}
