import { isName, type Name } from "./names.ts";
import type { Channel } from "./records.ts";

const PREVIEW = "preview/";

/** `preview/NAME`: the channel of a preview, and how references name it. */
export function previewChannel(name: Name): Channel {
  return `${PREVIEW}${name}`;
}

/** Name of the preview that a channel is for; undefined: production. */
export function previewOf(channel: Channel): Name | undefined {
  const name = channel.startsWith(PREVIEW) ? channel.slice(PREVIEW.length) : undefined;
  return isName(name) ? name : undefined;
}
