import { appArchive } from "../helpers/app-archive.ts";

/** The archive of an app of three files that is like no other number's. */
export function smallApp(number: number): Buffer {
  return appArchive({ "app.py": `app = ${number}\n`, "karta.toml": "", "README.md": `# ${number}\n` });
}
